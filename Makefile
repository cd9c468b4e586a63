# `make test` runs everything on a bare Debian machine with a Rust toolchain.
#
# The GPU tests run on Mesa's software adapter through Vulkan and GL. `make adapters` installs the
# libraries with apt-get if they are missing; without them the tests fail and say so.

comma := ,
CARGO ?= cargo
# With MPI the program is built and tested with it.
MPI := $(shell command -v mpicc)
FEATURES := cli$(if $(MPI),$(comma)mpi)
VULKAN_ICD := $(firstword $(wildcard /usr/share/vulkan/icd.d/lvp_icd*.json))
EGL := $(firstword $(wildcard /usr/lib/*/libEGL_mesa.so.0))
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: test adapters check

test: adapters
	$(if $(MPI),,@echo "MPI is not installed (mpicc): the tests of mpirun are left out")
	$(CARGO) test --release --features $(FEATURES)
	$(CARGO) test --release -p wgrad-inference
	$(CARGO) test --release --features cli,binpack-gpl-3 --test data binpack

adapters:
ifeq ($(and $(VULKAN_ICD),$(EGL)),)
	$(SUDO) apt-get update -qq
	$(SUDO) apt-get install -y -qq mesa-vulkan-drivers libvulkan1 libegl1 libgl1-mesa-dri
endif

# Formatting, lints and documentation, warnings as errors.
check:
	rustfmt --check $(shell find . -name '*.rs' -not -path '*/target/*')
	$(CARGO) clippy --release --workspace --all-targets --features $(FEATURES) -- -D warnings
	$(CARGO) clippy --release --lib --bins --test data --features cli,binpack-gpl-3 -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --no-deps --features $(FEATURES) -p wgrad -p wgrad-inference
