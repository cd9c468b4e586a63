//! The directory of checkpoints: the latest one, and writes that fail.

use crate::support::{architecture, checkpoint, names, refused, scratch, untied, written};
use std::fs;
use std::io::Write;
use std::path::Path;
use wgrad::files::atomic::write_atomically;
use wgrad::nnue::activation::Activation;
use wgrad::nnue::train::checkpoint::Checkpoints;

#[test]
fn the_latest_checkpoint_is_found() {
    let (directory, _) = scratch();
    let checkpoints = Checkpoints::new(directory.path());
    assert_eq!(checkpoints.list().unwrap(), []);
    assert!(checkpoints.latest().unwrap().is_none());
    checkpoints.create().unwrap();
    assert!(checkpoints.latest().unwrap().is_none());
    let at = |step| {
        let mut state = checkpoint(untied());
        (state.step, state.epoch, state.batch) = (step, step / 3, step % 3);
        state.settings.epochs = u64::MAX;
        state
    };
    for step in [99_999_999, 0, 100_000_000, 4] {
        let path = checkpoints.save(&at(step)).unwrap();
        assert_eq!(path, checkpoints.path(step));
    }
    for other in [
        "step-7.safetensors",
        "step-+0000007.safetensors",
        ".unfinished-x",
        "step-99999999999",
    ] {
        fs::write(checkpoints.directory().join(other), "not one").unwrap();
    }
    let steps: Vec<_> = checkpoints
        .list()
        .unwrap()
        .into_iter()
        .map(|(step, _)| step)
        .collect();
    assert_eq!(steps, [0, 4, 99_999_999, 100_000_000]);
    assert!(
        checkpoints
            .path(4)
            .ends_with("checkpoints/step-00000004.safetensors")
    );
    let (path, state) = checkpoints.latest().unwrap().unwrap();
    assert_eq!(
        (path, state),
        (checkpoints.path(100_000_000), at(100_000_000))
    );

    let newest = checkpoints.path(100_000_000);
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
    fs::write(checkpoints.path(99_999_999), "").unwrap();
    let good = checkpoints.path(4);
    let words = [
        "cut short",
        "the newest checkpoint that can be read is",
        good.to_str().unwrap(),
    ];
    refused(checkpoints.latest(), &newest, &words);
    let mut damaged = bytes.clone();
    damaged[bytes.len() - 9] ^= 4;
    fs::write(&newest, damaged).unwrap();
    refused(
        checkpoints.latest(),
        &newest,
        &["checksum: expected ", good.to_str().unwrap()],
    );
    fs::remove_file(good).unwrap();
    fs::remove_file(checkpoints.path(0)).unwrap();
    refused(
        checkpoints.latest(),
        &newest,
        &["no other checkpoint there can be read"],
    );
}

#[test]
fn a_failed_write_leaves_what_was_there() {
    let (directory, path) = scratch();
    let before = written(&path);
    let full = write_atomically(&path, |out| {
        out.write_all(&[1; 100_000])?;
        Err(std::io::ErrorKind::StorageFull.into())
    });
    refused(full, &path, &["could not write", "no storage space"]);
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(names(directory.path()), ["net.safetensors"]);

    let occupied = directory.path().join("occupied");
    fs::create_dir(&occupied).unwrap();
    fs::write(occupied.join("inside"), "").unwrap();
    refused(
        checkpoint(untied()).write(&occupied),
        &occupied,
        &["could not write"],
    );
    assert_eq!(names(directory.path()), ["net.safetensors", "occupied"]);
    assert_eq!(names(&occupied), ["inside"]);

    let inside_a_file = path.join("net.safetensors");
    let error = checkpoint(untied()).write(&inside_a_file).unwrap_err();
    let text = error.to_string();
    let beginning = format!("{}: could not write: ", inside_a_file.display());
    assert!(text.starts_with(&beginning), "{text}");
    // The path of the temporary file is left out.
    assert_eq!(text.matches("net.safetensors/").count(), 1, "{text}");
    assert!(!text.contains("unfinished"), "{text}");

    let checkpoints = Checkpoints::new(directory.path());
    checkpoints.create().unwrap();
    checkpoints.save(&checkpoint(untied())).unwrap();
    fs::remove_dir_all(checkpoints.directory()).unwrap();
    refused(
        checkpoints.save(&checkpoint(untied())),
        &checkpoints.path(7),
        &["could not write"],
    );
    refused(
        Checkpoints::new(&path).create(),
        &path,
        &["could not create"],
    );
}

#[cfg(unix)]
#[test]
fn written_files_are_files_like_any_other() {
    use std::os::unix::fs::MetadataExt;
    let (directory, path) = scratch();
    checkpoint(untied()).write(&path).unwrap();
    let plain = directory.path().join("plain");
    fs::write(&plain, "").unwrap();
    let mode = |path| fs::metadata(path).unwrap().mode();
    assert_eq!(mode(&path), mode(&plain));
}

#[cfg(unix)]
#[test]
fn a_directory_that_is_not_writable_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, path) = scratch();
    let before = written(&path);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o555)).unwrap();
    let result = checkpoint(architecture(true, Activation::CRelu, 3, 1)).write(&path);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    // The superuser may write there all the same.
    if result.is_err() {
        refused(result, &path, &["could not write", "ermission denied"]);
        assert!(fs::read(&path).unwrap() == before);
    }
    #[cfg(target_os = "linux")]
    {
        let path = Path::new("/proc/net.safetensors");
        refused(checkpoint(untied()).write(path), path, &["could not write"]);
    }
}

#[test]
fn a_write_removes_what_a_killed_one_left_and_nothing_else() {
    let (directory, path) = scratch();
    let occupied = |path: &Path| {
        let before = names(directory.path());
        write_atomically(path, |out| out.write_all(b"one")).unwrap();
        let after = names(directory.path());
        after
            .into_iter()
            .filter(|name| !before.contains(name))
            .collect::<Vec<_>>()
    };
    assert_eq!(occupied(&path), ["net.safetensors"]);
    // The name of the new file, while it is written.
    let mut left = String::new();
    write_atomically(&path, |_| {
        let names = names(directory.path());
        left = names
            .into_iter()
            .find(|name| name.starts_with(".unfinished-"))
            .unwrap();
        // A writer that is alive keeps its file, whoever else writes to the same path.
        write_atomically(&path, |_| Ok(())).unwrap();
        assert!(directory.path().join(&left).exists());
        Ok(())
    })
    .unwrap();
    let (left, other) = (
        directory.path().join(left),
        directory.path().join(".unfinished-0"),
    );
    fs::write(&left, "half").unwrap();
    fs::write(&other, "another file's").unwrap();
    write_atomically(&path, |out| out.write_all(b"two")).unwrap();
    assert!(!left.exists() && other.exists());
    assert_eq!(fs::read(&path).unwrap(), b"two");
}
