//! The chips, and how many waves of a kernel fit on them.
//!
//! Sizes are those of AMD's instruction set manuals and of Mesa's compiler.

/// The registers and the memory that the waves of one chip share.
pub struct Chip {
    /// The name in the baseline and in options.
    pub name: &'static str,
    /// The names in `RADV_FORCE_FAMILY`, Mesa's newest first.
    pub families: &'static [&'static str],
    /// Vector registers of a SIMD and their granule, for waves of 64 invocations.
    vgprs: [u32; 2],
    /// Scalar registers of a SIMD and their granule, where they limit the waves.
    sgprs: Option<[u32; 2]>,
    /// The most waves of a SIMD.
    most: u32,
    /// SIMDs that share workgroup memory and run the waves of one workgroup.
    simds: u32,
    /// Bytes of that memory and their granule.
    lds: [u32; 2],
    /// The most workgroups of more than one wave on these SIMDs.
    workgroups: u32,
}

/// RDNA 3, RDNA 2 and GCN 5.
pub const CHIPS: [Chip; 3] = [
    Chip {
        name: "gfx1100",
        families: &["navi31", "gfx1100"],
        vgprs: [768, 12],
        sgprs: None,
        most: 16,
        simds: 4,
        lds: [128 << 10, 1024],
        workgroups: 32,
    },
    Chip {
        name: "navi21",
        families: &["navi21"],
        vgprs: [512, 8],
        sgprs: None,
        most: 16,
        simds: 4,
        lds: [128 << 10, 1024],
        workgroups: 32,
    },
    Chip {
        name: "vega10",
        families: &["vega10"],
        vgprs: [256, 4],
        sgprs: Some([800, 16]),
        most: 10,
        simds: 4,
        lds: [64 << 10, 512],
        workgroups: 16,
    },
];

/// What a workgroup takes.
pub struct Usage {
    /// Invocations.
    pub invocations: u32,
    /// Invocations of a wave: 32 or 64.
    pub wave: u32,
    /// Vector registers of an invocation.
    pub vgprs: u32,
    /// Scalar registers of a wave.
    pub sgprs: u32,
    /// Bytes of workgroup memory.
    pub lds: u32,
}

/// The waves that a SIMD holds at once if the dispatch is large.
#[derive(Debug, PartialEq)]
pub struct Occupancy {
    /// Their mean over the SIMDs that share a workgroup.
    pub waves: f64,
    /// The same for a workgroup of this size that uses neither registers nor memory.
    pub most: f64,
    /// What keeps `waves` below `most`, or `-`.
    pub limit: &'static str,
}

impl Chip {
    /// The waves of a kernel. Mesa's own `Subgroups per SIMD` is twice too large on RDNA.
    pub fn occupancy(&self, usage: &Usage) -> Occupancy {
        // A wave of 32 has half the registers of a wave of 64, and they are twice as many.
        let factor = 64 / usage.wave;
        let [registers, granule] = self.vgprs.map(|count| count * factor);
        let by_vgprs = registers / usage.vgprs.max(1).next_multiple_of(granule);
        let by_sgprs = self.sgprs.map_or(self.most, |[registers, granule]| {
            registers / usage.sgprs.max(1).next_multiple_of(granule)
        });
        let per_workgroup = usage.invocations.div_ceil(usage.wave).max(1);
        let of_waves = |waves: u32| waves.min(self.most) * self.simds / per_workgroup;
        let [bytes, granule] = self.lds;
        let by_lds = match usage.lds {
            0 => u32::MAX,
            used => bytes / used.next_multiple_of(granule),
        };
        let hardware = match per_workgroup {
            1 => u32::MAX,
            _ => self.workgroups,
        };
        let most = of_waves(self.most).min(hardware);
        let limits = [
            (most, "-"),
            (of_waves(by_vgprs), "VGPRs"),
            (by_lds, "LDS"),
            (of_waves(by_sgprs), "SGPRs"),
        ];
        let first = limits.into_iter().min_by_key(|(workgroups, _)| *workgroups);
        let (workgroups, limit) = first.unwrap_or((most, "-"));
        let waves = |count: u32| f64::from(count * per_workgroup) / f64::from(self.simds);
        Occupancy {
            waves: waves(workgroups),
            most: waves(most),
            limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occupancy(chip: usize, [invocations, wave, vgprs, sgprs, lds]: [u32; 5]) -> Occupancy {
        CHIPS[chip].occupancy(&Usage {
            invocations,
            wave,
            vgprs,
            sgprs,
            lds,
        })
    }

    fn expected(waves: f64, most: f64, limit: &'static str) -> Occupancy {
        Occupancy { waves, most, limit }
    }

    #[test]
    fn registers_limit_the_waves() {
        // 768 ÷ 84 = 9.1, and 36 waves are 9 workgroups of four.
        assert_eq!(
            occupancy(0, [256, 64, 84, 0, 1024]),
            expected(9.0, 16.0, "VGPRs")
        );
        // 61 registers take 72: 10 waves of 64; 61 of a wave of 32 take 72 of 1,536.
        assert_eq!(
            occupancy(0, [64, 64, 61, 0, 0]),
            expected(10.0, 16.0, "VGPRs")
        );
        assert_eq!(occupancy(0, [64, 32, 61, 0, 0]), expected(16.0, 16.0, "-"));
        // 112 scalar registers of 800 leave 7 waves.
        assert_eq!(
            occupancy(2, [64, 64, 24, 102, 0]),
            expected(7.0, 10.0, "SGPRs")
        );
    }

    #[test]
    fn memory_limits_the_workgroups() {
        assert_eq!(
            occupancy(0, [64, 64, 84, 0, 8192]),
            expected(4.0, 16.0, "LDS")
        );
        assert_eq!(
            occupancy(1, [64, 64, 24, 0, 8704]),
            expected(3.5, 16.0, "LDS")
        );
        assert_eq!(
            occupancy(2, [64, 64, 24, 0, 8704]),
            expected(1.75, 10.0, "LDS")
        );
    }

    #[test]
    fn a_workgroup_is_whole() {
        // 10 waves of a SIMD are 40, which hold 2 workgroups of 16 waves.
        assert_eq!(occupancy(2, [1024, 64, 24, 0, 0]), expected(8.0, 8.0, "-"));
    }
}
