# `make test` runs everything on a bare Debian machine with a Rust toolchain.
#
# The GPU tests run on Mesa's software adapter through Vulkan and GL. `make adapters` installs the
# libraries with apt-get if they are missing; without them the tests fail and say so.

comma := ,
CARGO ?= cargo
# With MPI the program is built and tested with it.
MPI := $(shell command -v mpicc)
FEATURES := cli$(if $(MPI),$(comma)mpi)
# Everything that can be built here. The program that users build has no code under the GPL.
ALL := $(FEATURES),binpack-gpl-3
VULKAN_ICD := $(firstword $(wildcard /usr/share/vulkan/icd.d/lvp_icd*.json))
EGL := $(firstword $(wildcard /usr/lib/*/libEGL_mesa.so.0))
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: test tests adapters mpi check

test: adapters
	$(if $(MPI),,@echo "MPI is not installed (mpicc): the tests of mpirun are left out; see 'make mpi'")
	$(CARGO) test --release --features $(ALL)
	$(CARGO) test --release -p wgrad-inference

# Builds what `make test` runs.
tests:
	$(CARGO) test --release --features $(ALL) --no-run

adapters:
ifeq ($(and $(VULKAN_ICD),$(EGL)),)
	$(SUDO) apt-get update -qq
	$(SUDO) apt-get install -y -qq mesa-vulkan-drivers libvulkan1 libegl1 libgl1-mesa-dri
endif

# What the feature mpi needs.
mpi:
ifeq ($(MPI),)
	$(SUDO) apt-get update -qq
	$(SUDO) apt-get install -y -qq libopenmpi-dev openmpi-bin libclang-dev
endif

# Formatting, lints and documentation, warnings as errors.
check:
	rustfmt --check $(shell find . -name '*.rs' -not -path '*/target/*')
	$(CARGO) clippy --release --workspace --all-targets --features $(ALL) -- -D warnings
	$(CARGO) clippy --release --lib --bins --features $(FEATURES) -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --lib --no-deps --features $(ALL)
