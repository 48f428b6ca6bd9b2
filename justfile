# SPDX-License-Identifier: Apache-2.0

# List the recipes.
default:
    @just --list

# Build mvm as users get it.
build:
    cargo build --release --locked

# Build the guest kernel, or find it in the cache; prints its path.
kernel *args:
    kernel/build {{args}}

# Install packages: build kernel run images test lab libkrun windows macos package bench fuzz.
setup *groups:
    scripts/setup {{groups}}

# Everything CI checks.
test:
    scripts/test

# The tests that need no VM.
unit:
    cargo test --workspace --lib --bins

# End-to-end tests whose name has this in it.
e2e *filter:
    cargo test --test e2e -- {{filter}}

# End-to-end tests on libkrun, where KVM does not run guests.
lab *groups:
    tests/lab/run {{groups}}

# From nothing to a microVM.
demo:
    scripts/demo

# Promises and where the time goes, as tables of ratios.
bench *args:
    cargo bench --bench run -- {{args}}

# Measure what short VMs leave behind, and an idle one costs.
bench-leftovers:
    cargo bench --bench leftovers

# Measure stdout, stdin and volumes against bare ones.
bench-streams:
    cargo bench --bench streams

# Measure commands in a warm VM.
bench-exec:
    cargo bench --bench exec

# Measure lists, inspect and completion with 1,000 VMs.
bench-lists:
    cargo bench --bench lists

# Pulls against skopeo, umoci and podman.
bench-pull:
    scripts/setup build bench
    cargo bench --bench pull

# Fuzz for an hour; or: just fuzz SECONDS TARGET...
fuzz *args="900":
    scripts/setup build fuzz
    scripts/fuzz {{args}}

# Write man pages anew, from the command line's definition.
docs:
    MVM_BLESS=1 cargo test --locked --lib cli::generated

fmt:
    cargo fmt --all

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

check-windows:
    scripts/check-windows

check-macos:
    scripts/check-macos

# On a Mac: sign a build with what Hypervisor.framework asks for.
sign *args:
    scripts/sign {{args}}

# Make the release archive in dist/.
package *args:
    scripts/package {{args}}

# Install mvm for this user.
install:
    cargo install --locked --path .
