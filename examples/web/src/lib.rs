//! wgrad for a page: training, evaluation and verification on the visitor's GPU.
//!
//! The page holds one [`Gpu`]. Every call that needs values of the GPU returns a promise, because
//! nothing can block in a browser. Of one object, only one call may run at a time.

mod training;

use wasm_bindgen::prelude::*;
use wgrad::Device;
use wgrad::nnue::train::Config;
use wgrad::verify::{Expected, table};

pub use training::Training;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn log_error(text: &str);
}

/// Runs when the module is loaded: a panic is told on the console.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| log_error(&panic.to_string())));
}

/// The GPU of the page.
#[wasm_bindgen]
pub struct Gpu {
    device: Device,
}

#[wasm_bindgen]
impl Gpu {
    /// Opens the GPU that the browser offers.
    ///
    /// # Errors
    /// There is no WebGPU, or its adapter is not sufficient.
    pub async fn open() -> Result<Self, JsError> {
        let device = Device::open_async(Some("webgpu:")).await?;
        Ok(Self { device })
    }

    /// The adapter, as the browser names it. Most browsers tell little.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        let name = self.device.name();
        name.strip_prefix("webgpu:").unwrap_or(name).to_owned()
    }

    /// A training by a recipe (the text of a TOML file of `wgrad train`) on the contents of two
    /// data files.
    ///
    /// # Errors
    /// A recipe or data that wgrad refuses, and a network that does not fit the GPU.
    pub fn train(
        &self,
        recipe: &str,
        data: Vec<u8>,
        validation: Vec<u8>,
    ) -> Result<Training, JsError> {
        let config = Config::parse(recipe).map_err(|fault| JsError::new(&fault.to_string()))?;
        let stage = config.stages.into_iter().next();
        let settings = stage.map(|stage| stage.settings).unwrap_or_default();
        Ok(Training::new(&self.device, settings, data, validation)?)
    }

    /// Compares every case of a kernel with its f64 twin: JSON, a list of outcomes with `kernel`,
    /// `pass`, `case`, `error`, `bound`, `fraction`, `ok` and `note`.
    ///
    /// # Errors
    /// An unknown kernel, and failures of the GPU.
    pub async fn verify(&self, kernel: &str) -> Result<String, JsError> {
        let found = table::find(kernel).ok_or_else(|| JsError::new("there is no such kernel"))?;
        let reference = Device::reference();
        let mut outcomes = Vec::new();
        for case in (found.cases)() {
            let expected = Expected::new(&reference, found, &case)?;
            outcomes.push(expected.compare_async(&self.device, found, &case).await?);
        }
        Ok(serde_json::to_string(&outcomes)?)
    }
}

/// The names of all kernels.
#[wasm_bindgen]
pub fn kernels() -> Vec<String> {
    table::kernels()
        .map(|kernel| kernel.name.to_owned())
        .collect()
}
