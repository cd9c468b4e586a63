//! Reads a shader's interface by naga, so that the Rust side and the WGSL side can be compared.

use super::{Access, Element, Field, Kernel, Kind};
use naga::back::pipeline_constants::process_overrides;
use naga::{AddressSpace, ScalarKind, StorageAccess, TypeInner};

/// The facts on which host and shader must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name, the element type and whether the shader may write it, per storage buffer in
    /// binding order.
    pub bindings: Vec<(String, Element, bool)>,
    /// The name, the offset in bytes and the type of each field of the uniform.
    pub fields: Vec<(String, u32, String)>,
}

/// The interface of an assembled shader in terms of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reflected {
    /// Bindings and parameters.
    pub signature: Signature,
    /// The invocations of a workgroup in each dimension.
    pub workgroup: [u32; 3],
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
}

/// What naga counts as a capability although every implementation of WebGPU has it: floats of 16
/// bits in words, `pack2x16float`. A kernel that uses it needs a device that [has
/// it](crate::engine::device::Device::has_halves).
pub const CAPABILITIES: naga::valid::Capabilities =
    naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32;

/// Parses and validates an assembled shader, with [`CAPABILITIES`] alone, and reads its interface.
/// Overrides have their defaults.
///
/// # Errors
/// The compiler's message, or the name of the missing part.
pub fn reflect(source: &str) -> Result<Reflected, String> {
    let module =
        naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let info = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), CAPABILITIES)
        .validate(&module)
        .map_err(|error| error.emit_to_string(source))?;
    let constants = naga::back::PipelineConstants::default();
    let (module, _) =
        process_overrides(&module, &info, None, &constants).map_err(|error| error.to_string())?;
    let [entry] = module.entry_points.as_slice() else {
        return Err(format!(
            "expected 1 entry point, found {}",
            module.entry_points.len()
        ));
    };

    let mut layouter = naga::proc::Layouter::default();
    layouter
        .update(module.to_ctx())
        .map_err(|error| error.to_string())?;
    let mut bound = Vec::new();
    let mut fields = None;
    let mut workgroup_bytes = 0;
    for (_, global) in module.global_variables.iter() {
        let name = global.name.clone().unwrap_or_default();
        let inner = &module.types[global.ty].inner;
        let place = global.binding.as_ref();
        match global.space {
            AddressSpace::Storage { access } => {
                let TypeInner::Array { base, .. } = *inner else {
                    return Err(format!("{name}: expected an array, found {inner:?}"));
                };
                let element = match module.types[base].inner {
                    TypeInner::Scalar(scalar)
                    | TypeInner::Atomic(scalar)
                    | TypeInner::Vector { scalar, .. } => match scalar.kind {
                        ScalarKind::Float => Element::Float,
                        _ => Element::Word,
                    },
                    ref other => return Err(format!("{name}: elements of {other:?}")),
                };
                let place = place.ok_or_else(|| format!("{name}: no binding"))?;
                let written = access.contains(StorageAccess::STORE);
                bound.push((place.group, place.binding, (name, element, written)));
            }
            AddressSpace::Uniform => {
                let TypeInner::Struct { members, .. } = inner else {
                    return Err(format!("{name}: expected a struct, found {inner:?}"));
                };
                let place = place.ok_or_else(|| format!("{name}: no binding"))?;
                let members = members.iter().map(|member| {
                    let kind = match module.types[member.ty].inner {
                        TypeInner::Scalar(naga::Scalar::F32) => "f32".to_owned(),
                        TypeInner::Scalar(naga::Scalar::U32) => "u32".to_owned(),
                        TypeInner::Array {
                            base,
                            size: naga::ArraySize::Constant(size),
                            ..
                        } if is_vector(&module.types[base].inner, naga::Scalar::U32) => {
                            format!("[u32; {}]", 4 * size.get())
                        }
                        TypeInner::Array {
                            base,
                            size: naga::ArraySize::Constant(size),
                            ..
                        } if is_vector(&module.types[base].inner, naga::Scalar::F32) => {
                            format!("[f32; {}]", 4 * size.get())
                        }
                        ref inner if is_vector(inner, naga::Scalar::F32) => "[f32; 4]".to_owned(),
                        ref other => format!("{other:?}"),
                    };
                    (member.name.clone().unwrap_or_default(), member.offset, kind)
                });
                if fields.is_some() {
                    return Err(format!("{name}: a second uniform"));
                }
                fields = Some((place.group, place.binding, members.collect::<Vec<_>>()));
            }
            AddressSpace::WorkGroup => workgroup_bytes += layouter[global.ty].size,
            _ => {}
        }
    }
    bound.sort_by_key(|&(group, binding, _)| (group, binding));
    let (group, binding, fields) = fields.ok_or("no uniform for the parameters")?;
    let places = bound.iter().map(|&(group, binding, _)| (group, binding));
    let expected = (0..bound.len() as u32 + 1).map(|binding| (0, binding));
    if !places.chain([(group, binding)]).eq(expected) {
        return Err("bindings must count from @group(0) @binding(0), the uniform last".to_owned());
    }
    Ok(Reflected {
        signature: Signature {
            bindings: bound.into_iter().map(|(_, _, binding)| binding).collect(),
            fields,
        },
        workgroup: entry.workgroup_size,
        workgroup_bytes,
    })
}

fn is_vector(inner: &TypeInner, scalar: naga::Scalar) -> bool {
    let size = naga::VectorSize::Quad;
    *inner == TypeInner::Vector { size, scalar }
}

impl Kernel {
    /// The interface that the Rust side of the kernel declares.
    pub fn signature(&self) -> Signature {
        let bindings = self.bindings.iter().map(|binding| {
            let written = binding.access != Access::Read;
            (binding.name.to_owned(), binding.element, written)
        });
        let fields = Field::flat(self.fields).into_iter().map(|field| {
            let kind = match field.kind {
                Kind::Word => "u32".to_owned(),
                Kind::Float => "f32".to_owned(),
                Kind::EightWords => "[u32; 8]".to_owned(),
                Kind::Vectors(count) => format!("[f32; {}]", 4 * count),
                Kind::Fields(_) => "a struct".to_owned(),
            };
            (field.name.to_owned(), field.offset, kind)
        });
        Signature {
            bindings: bindings.collect(),
            fields: fields.collect(),
        }
    }
}
