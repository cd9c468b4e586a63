//! Network files, checkpoints and their directory: the bytes, reading them back, and every kind of
//! damage.

mod checkpoints;
mod directory;
mod earlier_release;
mod network_files;
mod support;
mod tensor_files;
