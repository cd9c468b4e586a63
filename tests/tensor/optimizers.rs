//! 200 steps of each optimizer against the formulas of section 5 in f64.

use crate::common;
use wgrad::Tensor;
use wgrad::engine::device::Device;
use wgrad::nn::Descent;
use wgrad::optim::{AdamW, Optimizer, RAdam, Ranger, Sgd, SlowStart};

const STEPS: i32 = 200;
const START: [f32; 4] = [2.0, -1.0, 0.5, 0.0];

/// The gradient of the loss Σ (x⁴/4 + c·x), with a c that turns with the step.
fn gradient(x: f64, step: i32) -> f64 {
    x * x * x + slope(step)
}

fn slope(step: i32) -> f64 {
    [0.5, -0.25, 0.75, -1.0][step as usize % 4]
}

/// m̂ and v of a parameter with its own moments.
struct Moments {
    m: f64,
    v: f64,
}

impl Moments {
    fn new() -> Self {
        Self { m: 0.0, v: 0.0 }
    }

    fn add(&mut self, g: f64, beta1: f64, beta2: f64) {
        self.m = beta1 * self.m + (1.0 - beta1) * g;
        self.v = beta2 * self.v + (1.0 - beta2) * g * g;
    }
}

/// 1 − η·w, which the host rounds to f32: 200 steps would add its error up.
fn kept(rate: f64, decay: f64) -> f64 {
    f64::from((1.0 - rate * decay) as f32)
}

/// A step of RAdam as Liu et al. write it, with PyTorch's place of ε.
fn radam(x: f64, g: f64, moments: &mut Moments, t: i32, rate: f64, numbers: &RAdam) -> f64 {
    let [beta1, beta2, epsilon, decay] = [
        numbers.beta1,
        numbers.beta2,
        numbers.epsilon,
        numbers.weight_decay,
    ]
    .map(f64::from);
    moments.add(g, beta1, beta2);
    let x = x * kept(rate, decay);
    let m_hat = moments.m / (1.0 - beta1.powi(t));
    let rho_inf = 2.0 / (1.0 - beta2) - 1.0;
    let rho = rho_inf - 2.0 * f64::from(t) * beta2.powi(t) / (1.0 - beta2.powi(t));
    if rho <= 5.0 {
        return x - rate * m_hat;
    }
    let l = (1.0 - beta2.powi(t)).sqrt() / (moments.v.sqrt() + epsilon);
    let r = (rho - 4.0) * (rho - 2.0) * rho_inf / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho);
    x - rate * m_hat * r.sqrt() * l
}

/// The parameter after all steps.
fn by_hand(optimizer: Optimizer, start: f64, rate: f64) -> f64 {
    let (mut x, mut moments) = (start, Moments::new());
    let mut slow = match optimizer {
        Optimizer::Ranger(ranger) if ranger.slow_start == SlowStart::Zero => 0.0,
        _ => start,
    };
    for t in 1..=STEPS {
        let g = gradient(x, t);
        match optimizer {
            Optimizer::Sgd(Sgd { momentum }) => {
                moments.m = f64::from(momentum) * moments.m + g;
                x -= rate * moments.m;
            }
            Optimizer::AdamW(adamw) => {
                let [beta1, beta2] = [adamw.beta1, adamw.beta2].map(f64::from);
                moments.add(g, beta1, beta2);
                let (m, v) = match adamw.bias_correction {
                    true => (
                        moments.m / (1.0 - beta1.powi(t)),
                        moments.v / (1.0 - beta2.powi(t)),
                    ),
                    false => (moments.m, moments.v),
                };
                x *= kept(rate, adamw.weight_decay.into());
                x -= rate * m / (v.sqrt() + f64::from(adamw.epsilon));
                if let Some((low, high)) = adamw.weight_range {
                    x = x.clamp(low.into(), high.into());
                }
            }
            Optimizer::RAdam(numbers) => x = radam(x, g, &mut moments, t, rate, &numbers),
            Optimizer::Ranger(ranger) => {
                let numbers = RAdam {
                    beta1: ranger.beta1,
                    beta2: ranger.beta2,
                    epsilon: ranger.epsilon,
                    weight_decay: ranger.weight_decay,
                    weight_range: None,
                };
                x = radam(x, g, &mut moments, t, rate, &numbers);
                if t % ranger.period as i32 == 0 {
                    slow += f64::from(ranger.alpha) * (x - slow);
                    x = slow;
                }
            }
            other => panic!("no formula for {other}"),
        }
    }
    x
}

fn optimizers() -> Vec<Optimizer> {
    let plain = AdamW {
        bias_correction: false,
        weight_range: Some((-0.9, 1.98)),
        ..AdamW::default()
    };
    // β2 = 0.9 rectifies with factors far from 1, and a large ε shows its place.
    let short = RAdam {
        beta2: 0.9,
        epsilon: 0.03,
        weight_decay: 0.3,
        ..RAdam::default()
    };
    let zero = Ranger {
        slow_start: SlowStart::Zero,
        ..Ranger::default()
    };
    let slower = Ranger {
        beta1: 0.99,
        alpha: 0.3,
        period: 7,
        ..Ranger::default()
    };
    vec![
        Sgd { momentum: 0.0 }.into(),
        Sgd { momentum: 0.9 }.into(),
        Optimizer::ADAMW,
        plain.into(),
        RAdam::default().into(),
        short.into(),
        Ranger::default().into(),
        zero.into(),
        slower.into(),
    ]
}

fn descends(device: &Device, bound: f64) {
    for optimizer in optimizers() {
        let rate = 0.01f32;
        let x = Tensor::new(device, &START, &[4]).unwrap().parameter();
        let mut descent = Descent::new(optimizer, vec![x.clone()]).unwrap();
        for step in 1..=STEPS {
            let quartic = x.powf(4.0).unwrap().affine(0.25, 0.0).unwrap();
            let linear = x.affine(slope(step) as f32, 0.0).unwrap();
            let loss = quartic.add(&linear).unwrap().sum(.., false).unwrap();
            descent.step(&loss.backward().unwrap(), rate).unwrap();
        }
        assert_eq!(descent.steps(), STEPS as u64);
        for (found, start) in x.to_vec().unwrap().into_iter().zip(START) {
            let expected = by_hand(optimizer, start.into(), rate.into());
            let error = (f64::from(found) - expected).abs();
            let name = device.name();
            // Read by benches/peers/optimizers.py.
            println!("optimizer;{name};{optimizer};{start};{found}");
            assert!(
                error <= bound,
                "{name}: {optimizer} from {start}: {found}, expected {expected}"
            );
        }
    }
}

#[test]
fn descent_follows_the_formulas() {
    // The reference reads its numbers in f32, and gives its values back in f32.
    descends(&Device::reference(), 1e-6);
    descends(&Device::cpu().unwrap(), 1e-5);
    let _turn = common::turn();
    descends(&common::VULKAN, 1e-5);
}
