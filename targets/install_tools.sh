#!/usr/bin/env bash
# Installs the Debian packages that Thimble calls, where they are missing: as root or through sudo without a
# password; else it prints the one line to run. The list is that of `thimble doctor` plus what the tests need.
set -euo pipefail

declare -A package_of=(
    [cc]="gcc libc6-dev"
    [arm-none-eabi-gcc]="gcc-arm-none-eabi libnewlib-arm-none-eabi"
    [qemu-system-arm]="qemu-system-arm"
    [riscv64-unknown-elf-gcc]="gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"
    [verilator]="verilator"
    [g++]="g++"
    [clang]="clang"
    [clang-format]="clang-format"
)
missing=()
for program in "${!package_of[@]}"; do
    command -v "$program" >/dev/null || missing+=(${package_of[$program]})
done
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
packages=$(printf '%s\n' "${missing[@]}" | sort -u | tr '\n' ' ')
if [ "$(id -u)" -eq 0 ]; then
    run=()
elif sudo -n true 2>/dev/null; then
    run=(sudo)
else
    echo "Thimble needs some packages. Run this, then the same make command again:" >&2
    echo "  sudo apt-get install -y $packages" >&2
    exit 8
fi
echo "Installing: $packages"
export DEBIAN_FRONTEND=noninteractive
"${run[@]}" apt-get update -qq
"${run[@]}" apt-get install -y -qq --no-install-recommends $packages >/dev/null
