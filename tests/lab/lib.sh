# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The lab's two parts: a disk that holds a small Linux with the files it is to
# work on, and a boot of that disk in which a command runs. Sourced, never run.

# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
lab=$top/tests/lab

# Real programs where busybox has none, or one that does less.
programs=(bash cp docker-registry ip mount passt setpriv umount unshare)

# A file or a directory for the tree, with the libraries that it needs. Debug
# information stays here: nobody reads it there.
add() { # TREE SOURCE DESTINATION
  local tree=$1 source=$2 target=$1$3 library
  [ -e "$source" ] || die "no file $source"
  mkdir -p "${target%/*}"
  if [ -d "$source" ]; then
    # Links where the tree is on the same file system: nothing is changed.
    cp -rl "$source" "$target" 2>/dev/null || { rm -rf "$target"; cp -r "$source" "$target"; }
    return
  fi
  rm -f "$target"
  if [ "$(head -c 4 "$source" | tr -d '\0')" = $'\177ELF' ] && [ -x "$source" ]; then
    strip -g -o "$target" "$source" 2>/dev/null || cp -L "$source" "$target"
    chmod 755 "$target"
    while read -r library; do
      [ -e "$tree$library" ] || install -D "$(readlink -f "$library")" "$tree$library"
    done < <(ldd "$source" 2>/dev/null | grep -o '/[^ ]*')
  else
    cp -L "$source" "$target"
  fi
}

# Modules of the machines' kernel, and `load`, which inserts them in this order.
# What is absent is built in, or else what needs it will not work.
add_modules() { # DIRECTORY NAME...
  local directory=$1 name file
  shift
  mkdir -p "$directory"
  for name; do
    file=$(find "$kernel/lib/modules" -name "$name.ko" -o -name "$name.ko.xz")
    case $file in
      '') continue ;;
      *.xz) xz -dc "$file" >"$directory/$name.ko" ;;
      *) cp "$file" "$directory/$name.ko" ;;
    esac
    strip -g "$directory/$name.ko"
    echo "$name" >>"$directory/load"
  done
}

# A raw disk with this system and these files, SOURCE:DESTINATION each.
make_disk() { # DISK [FILE...]
  local disk=$1 tree=$work/tree program file name
  shift
  # Debian's layout, so that paths of this machine hold there.
  mkdir -p "$tree"/usr/{bin,lib,lib64} "$tree"/{dev,proc,sys,run,root,etc/ssl/certs,lab,var/tmp,mnt}
  for name in bin lib lib64; do ln -s "usr/$name" "$tree/$name"; done
  ln -s usr/bin "$tree/sbin"
  ln -s bin "$tree/usr/sbin"
  mkdir -m 1777 "$tree/tmp" "$tree/lab/out"
  mkdir -p "$tree/home/user"

  cp "$(command -v busybox)" "$tree/bin/busybox"
  for name in $(busybox --list); do ln -s busybox "$tree/bin/$name" 2>/dev/null || :; done
  # Its shell would take its own applets for the real programs.
  ln -sf bash "$tree/bin/sh"
  for program in "${programs[@]}"; do
    add "$tree" "$(readlink -f "$(command -v "$program")")" "/usr/bin/$program"
  done
  add_modules "$tree/lab/modules" irqbypass kvm kvm-amd tun dummy veth fuse overlay
  install "$lab/guest" "$tree/lab/guest"
  cp /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/"
  printf '%s\n' root:x:0:0:root:/root:/bin/sh user:x:1000:1000:user:/home/user:/bin/sh \
    nobody:x:65534:65534:nobody:/:/bin/false >"$tree/etc/passwd"
  printf '%s\n' root:x:0: kvm:x:104:user user:x:1000: nogroup:x:65534: >"$tree/etc/group"
  echo '127.0.0.1 localhost lab' >"$tree/etc/hosts"
  echo 'hosts: files dns' >"$tree/etc/nsswitch.conf"
  for file; do add "$tree" "${file%%:*}" "${file#*:}"; done

  # All in one file system: the tests link files from one place to another.
  rm -f "$disk"
  mke2fs -q -t ext4 -O ^has_journal -m 0 -E lazy_itable_init=1,nodiscard -d "$tree" "$disk" 8g >/dev/null
  rm -rf "$tree"
}

# The initramfs that finds the disk, once per kernel and content.
make_initramfs() {
  local key tree=$work/tree
  key=$(cat "$lab/init" "$lab/lib.sh" | sha256sum | cut -c1-16)
  initramfs=$kernel/initramfs-$key
  [ ! -f "$initramfs" ] || return 0
  mkdir -p "$tree"/{bin,dev,new}
  cp "$(command -v busybox)" "$tree/bin/busybox"
  add_modules "$tree/modules" virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk
  install "$lab/init" "$tree/init"
  (cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$initramfs.$$"
  mv "$initramfs.$$" "$initramfs"
  rm -rf "$tree"
}

# Boots the disk, which stays as it is, and runs a script there; its output is
# ours. Returns its status, 124 if it took too long, or 125 if the machine
# ended without a word of it. What it left in /lab/out is then in OUT, with
# `console`, what the kernel said.
boot_disk() { # DISK SCRIPT OUT SECONDS
  local disk=$1 script=$2 out=$3 seconds=$4 status=0
  mkdir -p "$out"
  tar -cf "$out/.in" -C "$(dirname "$script")" "$(basename "$script")"
  rm -f "$out/.out"
  truncate -s 64M "$out/.out"
  timeout --foreground -k 5 "$seconds" qemu-system-x86_64 \
    -accel "tcg${LAB_ACCEL-}" -cpu "${LAB_CPU-max,+svm,la57=off,-erms,-fsrm}" -smp "${LAB_CPUS-1}" -m "${LAB_MEMORY-3072}" \
    -nodefaults -display none -no-reboot -serial "file:$out/console" -serial stdio \
    -kernel "$kernel"/boot/vmlinuz-* -initrd "$initramfs" \
    -append "console=ttyS0 quiet panic=-1 ${LAB_APPEND-mitigations=off tsc=reliable}" \
    -drive "file=$disk,format=raw,if=virtio,cache=unsafe,snapshot=on" \
    -drive "file=$out/.in,format=raw,if=virtio,readonly=on" \
    -drive "file=$out/.out,format=raw,if=virtio,cache=unsafe" </dev/null || status=$?
  rm -f "$out/status"
  [ $status -ne 0 ] || tar -xf "$out/.out" -C "$out" 2>/dev/null || :
  rm -f "$out"/.in "$out"/.out
  case $status in 124 | 137) return 124 ;; esac
  [ -s "$out/status" ] || return 125
  return "$(cat "$out/status")"
}

# A script for boot_disk: one command, with its environment.
script() { # USER? [NAME=VALUE...] -- COMMAND...
  local user=$1
  shift
  while [ "$1" != -- ]; do
    printf 'export %q\n' "$1"
    shift
  done
  shift
  if [ "$user" = yes ]; then
    echo 'export HOME=/home/user XDG_RUNTIME_DIR=/run/user/1000; cd'
    printf 'exec setpriv --reuid=user --regid=user --init-groups'
  else
    printf 'exec'
  fi
  printf ' %q' "$@"
  echo
}

# What everything here needs: `work`, a directory that ends with the script,
# and `kernel`, of the machines.
open_lab() {
  local tool
  for tool in qemu-system-x86_64 busybox mke2fs jq "${programs[@]}"; do
    have "$tool" || die "$tool is not installed" 'scripts/setup lab'
  done
  kernel=$("$lab/kernel" | tail -n 1)
  # On the file system of what is linked into the tree.
  work=$(mktemp -d "$cache/lab/.work-XXXXXX")
  trap close_lab EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  make_initramfs
}
close_lab() {
  "$top/scripts/registry" stop "$work/server"
  rm -rf "$work"
}

# The test images and the guest's kernel, made if they are not there.
find_fixtures() {
  fixtures=${MVM_FIXTURES:-$("$top/scripts/fixtures")}
  # shellcheck disable=SC2034 # used by the scripts that source this
  guest_kernel=${MVM_KERNEL:-$("$top/kernel/build" | tail -n 1)}
}

# Pulls images into a home here, which is a minute's work there. What pulled
# them is the address that the home knows them by.
pull() { # MVM HOME IMAGE...
  local mvm=$1 home=$2 image
  shift 2
  address=$("$top/scripts/registry" start --storage "$fixtures/registry" "$work/server")
  for image; do
    MVM_HOME=$home "$mvm" pull -q "$address/$image" >/dev/null || die "$image cannot be pulled"
  done
  "$top/scripts/registry" stop "$work/server"
}
