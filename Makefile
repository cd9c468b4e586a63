# `make test` runs everything on a bare Debian machine with a Rust toolchain.
#
# The GPU tests run on Mesa's software adapter through Vulkan and through GL. Where the libraries are not there, `make
# adapters` installs them with apt-get; without them the tests fail and say so.

CARGO ?= cargo
VULKAN_ICD := $(firstword $(wildcard /usr/share/vulkan/icd.d/lvp_icd*.json))
EGL := $(firstword $(wildcard /usr/lib/*/libEGL_mesa.so.0))
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: test adapters sabotage check

test: adapters
	$(CARGO) test --release --features cli
	$(MAKE) sabotage

adapters:
ifeq ($(and $(VULKAN_ICD),$(EGL)),)
	$(SUDO) apt-get update -qq
	$(SUDO) apt-get install -y -qq mesa-vulkan-drivers libvulkan1 libegl1 libgl1-mesa-dri
endif

# `wgrad verify` on a build with one kernel broken on purpose must report it and fail. The honest binary is put back.
sabotage:
	$(CARGO) build --release --features cli,sabotage
	@target/release/wgrad verify --device cpu --kernel sabotage; status=$$?; \
	$(CARGO) build --release --features cli && \
	if [ $$status = 1 ]; then \
		echo "verify reported the broken kernel and exited 1"; \
	else \
		echo "verify accepted the broken kernel: exit status $$status, expected 1"; exit 1; \
	fi

# Formatting, lints and documentation, warnings as errors.
check:
	rustfmt --edition 2024 --check $(shell find . -name '*.rs' -not -path '*/target/*')
	$(CARGO) clippy --release --all-targets --features cli -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --no-deps --features cli
