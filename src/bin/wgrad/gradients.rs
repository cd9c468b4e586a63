//! `wgrad gradients`: one forward and backward pass between files of tensors.

use crate::options::DeviceOption;
use crate::{Outcome, distinct};
use std::path::PathBuf;
use std::process::ExitCode;
use wgrad::Result;
use wgrad::files::safetensors::{Metadata, TensorFile};
use wgrad::nnue::train::checkpoint::Checkpoint;
use wgrad::nnue::train::{learning_rate_of, perform_step, push_gradients};
use wgrad::nnue::{Batch, Inputs, Loss, Network, SparseInputs, Upstream, read_network};

/// Options of `wgrad gradients`.
#[derive(clap::Args)]
#[command(after_help = "All files are safetensors in f32.\n\
    net:   A1, A2 [K,N], B1, B2 [K] (no A2 and B2 when tied), C [2K], d [1]; metadata activation\n       \
           (crelu, screlu or relu), clip (without effect for relu) and tied (true or false)\n\
    batch: X1, X2 [L,N], or i32 indices1, indices2 [L,F] padded with -1; Y_exp [L], the target itself;\n       \
           i32 buckets [L] for a net of several output buckets; metadata loss (mse, sigmoid_mse,\n       \
           cross_entropy, win_rate, or an object as in settings); weights [L], if samples have any\n\
    out:   Y [L], loss [1], and A1.grad ... d.grad in the shapes of the net\n\
    wgrad train writes DIR/not-finite-STEP.safetensors when a number is not finite. As --net and --batch\n\
    it performs that step again, with A1.next ... and A1.m.next ... for parameters and moments after it")]
pub struct Options {
    /// The network
    #[arg(long, value_name = "FILE")]
    net: PathBuf,
    /// The inputs and targets
    #[arg(long, value_name = "FILE")]
    batch: PathBuf,
    /// The file for outputs, loss and gradients; nothing is written if anything fails
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceOption,
}

/// Reads the network and the batch, and writes the outputs, the loss and the gradients.
pub fn run(options: &Options) -> Outcome {
    distinct(&options.out, &[&options.net, &options.batch])?;
    let (parameters, _) = read_network(&options.net)?;
    let file = TensorFile::read(&options.batch)?;
    let (batch, loss) = read_batch(&file, parameters.architecture().inputs)?;
    let device = options.device.open()?;
    let mut out = TensorFile::new(&options.out, Metadata::new());
    let computed = match learning_rate_of(&file)? {
        Some(learning_rate) => {
            let before = Checkpoint::read(&options.net)?;
            perform_step(&mut out, &before, &device, &batch, learning_rate)
        }
        None => {
            let mut network = Network::new(&device, &parameters)?;
            let found = network.gradients(&batch, Upstream::Loss(loss));
            found.and_then(|found| push_gradients(&mut out, &found))
        }
    };
    computed.map_err(|error| error.in_file(file.path()))?;
    out.write_finite()?;
    Ok(ExitCode::SUCCESS)
}

/// The batch for a network of `inputs` inputs per perspective, and the loss for the batch.
fn read_batch(file: &TensorFile, inputs: usize) -> Result<(Batch, Loss)> {
    let loss = file.text("loss")?;
    let wrong = |_| {
        let found = format!("{loss:?}");
        file.fault("metadata `loss`", Loss::names(), found)
    };
    let loss: Loss = match loss.starts_with('{') {
        true => serde_json::from_str(loss)
            .map_err(|error| file.fault("metadata `loss`", "a loss", error))?,
        false => loss.parse().map_err(wrong)?,
    };
    let shape = &file.tensor("Y_exp")?.shape;
    let &[samples] = shape.as_slice() else {
        return Err(file.fault("tensor `Y_exp`", "a shape [L]", format!("{shape:?}")));
    };
    let targets = file.finite("Y_exp", &[samples])?.to_vec();
    let inputs = match (
        file.has("X1") || file.has("X2"),
        file.has("indices1") || file.has("indices2"),
    ) {
        (true, false) => {
            let read = |name| file.finite(name, &[samples, inputs]).map(<[f32]>::to_vec);
            let values = [read("X1")?, read("X2")?];
            Inputs::Dense { inputs, values }
        }
        (false, true) => {
            let shape = &file.tensor("indices1")?.shape;
            let width = match shape[..] {
                [length, width] if length == samples => width,
                _ => {
                    let expected = format!("a shape [{samples}, F], for {samples} targets");
                    let found = format!("{shape:?}");
                    return Err(file.fault("tensor `indices1`", expected, found));
                }
            };
            let read = |name| {
                let indices = file.integers(name, &[samples, width])?.to_vec();
                let lists = SparseInputs::new(inputs, width, indices);
                lists.map_err(|error| error.within(name).in_file(file.path()))
            };
            Inputs::Sparse([read("indices1")?, read("indices2")?])
        }
        (both, _) => {
            let expected = "either X1 and X2, or indices1 and indices2";
            let found = if both { "both" } else { "neither" };
            return Err(file.fault("tensors", expected, found));
        }
    };
    let mut batch = Batch::new(inputs, targets).map_err(|error| error.in_file(file.path()))?;
    if file.has("weights") {
        let weights = file.finite("weights", &[samples])?.to_vec();
        batch = batch
            .with_weights(weights)
            .map_err(|error| error.in_file(file.path()))?;
    }
    if file.has("buckets") {
        let buckets = file.integers("buckets", &[samples])?.iter();
        let buckets = buckets.map(|&bucket| {
            let wrong = |_| file.fault("tensor `buckets`", "numbers of at least 0", bucket);
            u32::try_from(bucket).map_err(wrong)
        });
        let buckets = buckets.collect::<Result<_>>()?;
        batch = batch
            .with_buckets(buckets)
            .map_err(|error| error.in_file(file.path()))?;
    }
    Ok((batch, loss))
}
