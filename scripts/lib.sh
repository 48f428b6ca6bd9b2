# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What every script here needs: words on stderr, errors with a hint, and where
# things are. Sourced, never run.

# shellcheck disable=SC2034 # used by the scripts that source this
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mvm

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() { # MESSAGE [HINT]
  printf 'error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Debian keeps mkfs.*, setcap and chroot where a user's PATH may not look.
case :$PATH: in *:/usr/sbin:*) ;; *) PATH=$PATH:/usr/sbin:/sbin ;; esac

# The first Rust that can build this: rustup's in its usual place if PATH has
# nothing newer than the workspace asks for.
minimum_rust() { sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$top/Cargo.toml" | head -n 1; }

rust_is_new_enough() { # [CARGO]
  local version
  version=$("${1:-cargo}" --version 2>/dev/null | cut -d' ' -f2) || return 1
  [ -n "$version" ] && printf '%s\n%s\n' "$(minimum_rust)" "$version" | sort -C -V
}

use_rust() {
  rust_is_new_enough && return
  local home=${CARGO_HOME:-$HOME/.cargo}
  if rust_is_new_enough "$home/bin/cargo"; then
    PATH=$home/bin:$PATH
  elif rust_is_new_enough /usr/bin/cargo; then
    PATH=/usr/bin:$PATH
  else
    die "no Rust of version $(minimum_rust) or newer" 'scripts/setup build installs one'
  fi
  export PATH
}

# cargo check for a foreign target, whose standard library no Rust of Debian or
# of a fresh rustup has: it is built from the packaged sources. Nothing is
# linked, and what runs in the meantime (build scripts, macros) is shared.
check_for() { # TRIPLE [ARGUMENT]...
  local triple=$1
  shift
  # rustup's proxies take precedence over RUSTC's sysroot, hence a PATH without
  # them. -Z is nightly's; RUSTC_BOOTSTRAP lets a release have it. The guest
  # runs Linux whatever the host: any file stands in for it here.
  env --chdir="$top" -u RUSTUP_TOOLCHAIN -u RUSTC -u RUSTC_WRAPPER -u CARGO -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin RUSTC_BOOTSTRAP=1 MVM_INIT_PATH="$top/LICENSE" \
    CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$top/target}/foreign" \
    cargo check --locked -Zbuild-std=std,panic_abort,panic_unwind --target "$triple" \
    --config 'profile.dev.package."*".opt-level=0' -Zwarnings --config 'build.warnings="deny"' "$@"
}
