//! The WGSL functions that the network's kernels share, and the axes of their overrides.

use crate::engine::kernel::{Axis, Choice};
use crate::nnue::activation::Activation;
use crate::nnue::kernels::masked::Kind;
use crate::nnue::loss::Link;

/// `activate` and `activation_slope`, for floats and for vectors. The overrides `CLIP` and `POWER`
/// choose the activation.
pub const ACTIVATION: &str = include_str!("../../../shaders/nnue/lib/activation.wgsl");
/// `first_vector` and `bits_of`: one bit per lane, in words.
pub const BITS: &str = include_str!("../../../shaders/nnue/lib/bits.wgsl");
/// `loss_of`. The override `LINK` chooses the link.
pub const LOSS: &str = include_str!("../../../shaders/nnue/lib/loss.wgsl");
/// `put_head_gradients`: the gradients of B, C and d, and the loss. The shader declares the buffers
/// and the functions that write to them.
pub const HEAD_GRADIENTS: &str = include_str!("../../../shaders/nnue/lib/head_gradients.wgsl");
/// `shared_sum`. The shader declares the gradient and the parameters.
pub const SHARED_SUM: &str = include_str!("../../../shaders/nnue/lib/shared_sum.wgsl");
/// `layer_at`, `outputs_of`, `head_activate` and `head_slope`: the layers of a head. The shader
/// declares `head_word`.
pub const HEAD: &str = include_str!("../../../shaders/nnue/lib/head.wgsl");

/// The axis of a kernel that reads accumulators as they are, or multiplies their lanes in pairs.
pub const PAIRWISE: Axis = &[
    Choice::new("lanes", &[]),
    Choice::new("pairs", &[("PAIRWISE", 1)]),
];

/// 16-bit floats: `pack_z`, `unpack_4` and `scale_of`. The override `HALF` says whether a kernel
/// stores them.
pub const HALF: &str = include_str!("../../../shaders/nnue/lib/half.wgsl");

/// The axis of a kernel that stores Z and ∂Loss/∂Z in 32 or in 16 bits.
pub const STORAGES: Axis = &[Choice::new("f32", &[]), Choice::new("f16", &[("HALF", 1)])];

/// The axis of a kernel that reads A in 32 or in 16 bits.
pub const WEIGHTS: Axis = &[
    Choice::new("f32_weights", &[]),
    Choice::new("f16_weights", &[("HALF_WEIGHTS", 1)]),
];

const FORMS: usize = Activation::ALL.len();

static ACTIVATION_CONSTANTS: [[(&str, u32); 2]; FORMS] = {
    let mut constants = [[("CLIP", 0), ("POWER", 0)]; FORMS];
    let mut i = 0;
    while i < FORMS {
        let form = Activation::ALL[i].form();
        constants[i] = [("CLIP", form.clip as u32), ("POWER", form.power)];
        i += 1;
    }
    constants
};

static ACTIVATION_CHOICES: [Choice; FORMS] = {
    let mut choices = [Choice::new("", &[]); FORMS];
    let mut i = 0;
    while i < FORMS {
        choices[i] = Choice::new(Activation::ALL[i].name(), &ACTIVATION_CONSTANTS[i]);
        i += 1;
    }
    choices
};

/// `forward`: the forward pass of the masked path. The shader declares the parameters, the buffers
/// and `accumulated`.
pub const FORWARD: &str = include_str!("../../../shaders/nnue/lib/forward.wgsl");

static KIND_CONSTANTS: [[(&str, u32); 3]; Kind::ALL.len()] = {
    let mut constants = [[("CLIP", 0), ("POWER", 0), ("SHORT", 0)]; Kind::ALL.len()];
    let mut i = 0;
    while i < Kind::ALL.len() {
        let form = Kind::ALL[i].activation.form();
        constants[i][0].1 = form.clip as u32;
        constants[i][1].1 = form.power;
        constants[i][2].1 = Kind::ALL[i].short as u32;
        i += 1;
    }
    constants
};

static KIND_CHOICES: [Choice; Kind::ALL.len()] = {
    let mut choices = [Choice::new("", &[]); Kind::ALL.len()];
    let mut i = 0;
    while i < Kind::ALL.len() {
        choices[i] = Choice::new(Kind::ALL[i].name(), &KIND_CONSTANTS[i]);
        i += 1;
    }
    choices
};

/// The axis of a kernel of the masked path, in the order of [`Kind::ALL`].
pub const KINDS: Axis = &KIND_CHOICES;

/// The axis of a kernel that uses [`ACTIVATION`], in the order of [`Activation::ALL`].
pub const ACTIVATIONS: Axis = &ACTIVATION_CHOICES;

/// The choices of an axis: `before`, one choice per link, and `after`. A link sets the override
/// `LINK`, and `LOSS` to 1 in shaders that declare it.
const fn with_links<const N: usize>(
    constants: &'static [[(&'static str, u32); 2]; Link::ALL.len()],
    overrides: usize,
    before: &[Choice],
    after: &[Choice],
) -> [Choice; N] {
    let mut choices = [Choice::new("", &[]); N];
    let mut i = 0;
    while i < N {
        choices[i] = if i < before.len() {
            before[i]
        } else if i < before.len() + Link::ALL.len() {
            let link = i - before.len();
            let constants = constants[link].split_at(overrides).0;
            Choice::new(Link::ALL[link].name(), constants)
        } else {
            after[i - before.len() - Link::ALL.len()]
        };
        i += 1;
    }
    choices
}

static LINK_CONSTANTS: [[(&str, u32); 2]; Link::ALL.len()] = {
    let mut constants = [[("LINK", 0), ("LOSS", 1)]; Link::ALL.len()];
    let mut i = 0;
    while i < Link::ALL.len() {
        constants[i][0].1 = i as u32;
        i += 1;
    }
    constants
};

/// The axis of a kernel that uses [`LOSS`], in the order of [`Link::ALL`].
pub const LINKS: Axis = &LINK_CHOICES;
static LINK_CHOICES: [Choice; Link::ALL.len()] = with_links(&LINK_CONSTANTS, 1, &[], &[]);

/// The axis of a kernel that computes e from a loss with each link, or takes a given e.
pub const UPSTREAMS: Axis = &UPSTREAM_CHOICES;
static UPSTREAM_CHOICES: [Choice; 1 + Link::ALL.len()] = {
    let given = [Choice::new("given", &[("GIVEN", 1)])];
    with_links(&LINK_CONSTANTS, 1, &given, &[])
};

/// The axis of a kernel with extra results besides Y. These are e from a loss with each link, plus
/// the bits and slopes of Z that the gradients need; only the bits and slopes; or nothing.
pub const EXTRAS: Axis = &EXTRA_CHOICES;
static EXTRA_CHOICES: [Choice; Link::ALL.len() + 2] = {
    let others = [
        Choice::new("bits", &[]),
        Choice::new("output", &[("GRADIENT", 0)]),
    ];
    with_links(&LINK_CONSTANTS, 2, &[], &others)
};

/// The axis of a kernel that computes the gradients from a loss with each link or from a given e,
/// or only Y.
pub const PASSES: Axis = &PASS_CHOICES;
static PASS_CHOICES: [Choice; Link::ALL.len() + 2] = {
    let others = [
        Choice::new("given", &[]),
        Choice::new("output", &[("GRADIENT", 0)]),
    ];
    with_links(&LINK_CONSTANTS, 2, &[], &others)
};
