//! What a training step asks of a device: the bytes, the operations and the workgroups of each
//! kernel, counted from the recording of the step. Nothing is computed.

use crate::Failure;
use std::fmt::Write;
use std::path::Path;
use wgrad::engine::device::Device;
use wgrad::engine::kernel::Traffic;
use wgrad::engine::recording::{Command, Recording};
use wgrad::error::{Error, Result};
use wgrad::nnue::data::{ChessInputs, Dataset, Encoding, LoaderSettings, OutputBuckets};
use wgrad::nnue::{Activation, Architecture, Batch, Learner, Loss, Parameters};
use wgrad::optim::Optimizer;

/// The positions of the batches.
const DATA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../examples/data/chess_train.bin"
);

const INPUTS: usize = 768;
const HIDDEN: [usize; 5] = [128, 256, 512, 1024, 2048];
/// Two sizes that every adapter takes whole. The counts are affine in the number of samples, so
/// that they give those of any larger batch.
const BATCHES: [usize; 2] = [2048, 4096];
const ACTIVATIONS: [Activation; 2] = [Activation::CRelu, Activation::SCRelu];

/// A network of every K: its name in the table and what follows the accumulators.
struct Form {
    name: &'static str,
    output_buckets: &'static str,
    /// The hidden layers after a pairwise product; none without one.
    layers: &'static [&'static str],
    /// Whether steps store Z and its gradient in 16 bits.
    half: bool,
}

const FORMS: [Form; 4] = [
    Form {
        name: "F1",
        output_buckets: "1",
        layers: &[],
        half: false,
    },
    Form {
        name: "F2",
        output_buckets: "material:8",
        layers: &[],
        half: false,
    },
    Form {
        name: "F4",
        output_buckets: "material:8",
        layers: &["16:dual", "32:crelu"],
        half: false,
    },
    Form {
        name: "F4.half",
        output_buckets: "material:8",
        layers: &["16:dual", "32:crelu"],
        half: true,
    },
];

/// The names of the columns.
const COLUMNS: &str = "form\thidden\tbatch\tactivation\tkernel\tworkgroups\tread\twritten\t\
                       gathered_issued\tgathered_distinct\toperations\n";

/// The table of all shapes, as the device that has this name would compute them: a line for each
/// dispatch, and one for the uploads.
pub fn table(name: &str) -> std::result::Result<String, Failure> {
    let device = Device::open(Some(name)).map_err(|error| Failure::Unable(error.to_string()))?;
    let mut text = format!("# device: {}\n{COLUMNS}", device.name());
    for form in &FORMS {
        for hidden in HIDDEN {
            for batch in BATCHES {
                for activation in ACTIVATIONS {
                    let shape = format!("{}\t{hidden}\t{batch}\t{}", form.name, activation.name());
                    let step = Step {
                        form,
                        hidden,
                        batch,
                        activation,
                    };
                    let failed = |error| Failure::Failed(format!("{shape}: {error}"));
                    let rows = step.rows(&device).map_err(failed)?;
                    for row in rows {
                        let _ = writeln!(text, "{shape}\t{row}");
                    }
                }
            }
        }
    }
    Ok(text)
}

struct Step<'a> {
    form: &'a Form,
    hidden: usize,
    batch: usize,
    activation: Activation,
}

impl Step<'_> {
    fn rows(&self, device: &Device) -> Result<Vec<String>> {
        let output_buckets: OutputBuckets = self.form.output_buckets.parse()?;
        let layers = self.form.layers.iter().map(|layer| layer.parse());
        let mut architecture = Architecture::new(INPUTS, self.hidden);
        architecture.tied = true;
        architecture.activation = self.activation;
        architecture.buckets = output_buckets.count();
        architecture.pairwise = !self.form.layers.is_empty();
        architecture.layers = layers.collect::<Result<_, _>>()?;
        let parameters = Parameters::initial(architecture, 1)?;
        let (loss, optimizer) = (Loss::SIGMOID_MSE, Optimizer::ADAMW);
        let mut learner = Learner::new(device, &parameters, loss, optimizer)?;
        learner.set_half(self.form.half)?;
        let batch = self.batch_for(&learner, output_buckets)?;
        let (mut rows, mut uploads) = (Vec::new(), 0);
        learner.recordings(&batch, |recording| {
            uploads += add_rows(recording, &mut rows);
        })?;
        rows.push(format!("(uploads)\t0\t0\t{uploads}\t0\t0\t0"));
        Ok(rows)
    }

    fn batch_for(&self, learner: &Learner, output_buckets: OutputBuckets) -> Result<Batch> {
        let dataset = Dataset::open(&[Path::new(DATA).to_path_buf()])?;
        let settings = LoaderSettings::default().batch_size(self.batch);
        let encoding = Encoding::new(ChessInputs::default(), output_buckets);
        let needs = learner.needs().with_records(true);
        let mut loader = encoding.loader(&dataset, settings, needs)?;
        let positions = dataset.count()?;
        let fewer = || {
            let expected = format!("at least {}", self.batch);
            Error::argument("positions of a batch", expected, positions)
        };
        let batch = loader.next().ok_or_else(fewer)??;
        Ok(Batch::clone(&batch))
    }
}

/// Adds a line for each dispatch, and returns the bytes of the uploads.
fn add_rows(recording: &Recording<'_>, rows: &mut Vec<String>) -> usize {
    let mut uploads = 0;
    for command in recording.commands() {
        match command {
            // The elements of all buffers have 4 bytes.
            Command::Upload(_, _, data) => uploads += 4 * data.len(),
            Command::Dispatch(dispatch) if dispatch.groups > 0 => {
                let count = dispatch.kernel.traffic;
                let traffic = count.map_or_else(Traffic::default, |count| {
                    count(dispatch.variant, &dispatch.params)
                });
                let label = dispatch.kernel.label(dispatch.variant);
                rows.push(format!(
                    "{label}\t{}\t{}\t{}\t{}\t{}\t{}",
                    dispatch.groups,
                    traffic.read,
                    traffic.written,
                    traffic.gathered_issued,
                    traffic.gathered_distinct,
                    traffic.operations
                ));
            }
            Command::Copy { .. } | Command::Dispatch(_) | Command::Read(..) => {}
        }
    }
    uploads
}
