#!/usr/bin/env bash
# Installs what is missing for the parts named on the command line, and says each thing before it installs it:
#   rust   a compiler that is new enough, a C compiler to link with
#   gpu    the Vulkan loader, and a Vulkan device in software for the tests of the shaders
#   page   Node, and the packages of web/
#   test   Chromium, and a Python with nbtlib, numpy, scipy, cc3d, dijkstra3d and crackle in target/python (independent readers)
#   bench  the Luanti server, which generation is measured against, and the same Python, with peers
#   fuzz   cargo-fuzz, if there is a nightly toolchain
# With everything in place it takes no network and under a second.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

RUST_LEAST=1.91
NODE_LEAST=20
CARGO_FUZZ=0.13.2

# Debian packages, as root or through sudo. The first argument says what they are for.
install_packages() {
  local purpose=$1 packages=("${@:2}") as_root=()
  has apt-get || fail "${packages[*]} is missing, which $purpose." \
    "This script installs packages on Debian and Ubuntu only." \
    "Install the equivalent of ${packages[*]} with your system's package manager, then run this again."
  if [ "$(id -u)" -ne 0 ]; then
    has sudo || fail "${packages[*]} is missing, which $purpose." \
      "Installing it takes root, and there is no sudo." \
      "As root, run: apt-get install ${packages[*]}"
    as_root=(sudo)
  fi
  say "installing ${packages[*]} (which $purpose)"
  local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "${packages[@]}")
  # Lists that are missing or old name packages that are not there; one look at the archive mends both.
  "${install[@]}" || { "${as_root[@]}" apt-get update -q && "${install[@]}"; } \
    || fail "${packages[*]} could not be installed, which $purpose." \
      "apt-get said why above. Without a network, install it by hand, then run this again."
}

# Whether the version in $1 is at least that in $2.
at_least() {
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

setup_rust() {
  if ! has cargo || ! has rustc; then
    fail "Rust is not installed, and everything here is built with it." \
      "Get it from https://rustup.rs (or: apt-get install rustup && rustup default stable)," \
      "open a new shell, then run this again."
  fi
  local version
  version=$(rustc --version 2>&1) || fail "rustc does not run: $version" "Repair the toolchain: rustup update stable"
  version=$(printf '%s' "$version" | awk '{ print $2 }')
  at_least "${version%%-*}" "$RUST_LEAST" || fail "Rust $version is too old: $RUST_LEAST is the least." \
    "Update it with: rustup update stable" \
    "(a Rust from the system's packages is often older; https://rustup.rs has the current one)"
  if ! has cc || ! has c++; then
    install_packages "links Rust programs and builds the C parts of some of them" build-essential
  fi
}

setup_lints() {
  if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    fail "rustfmt or clippy is missing, and make test uses both." \
      "Install them with: rustup component add rustfmt clippy"
  fi
}

# The shaders are tested on any Vulkan device; one in software is there for machines without graphics hardware.
setup_gpu() {
  if [ "$(uname -s)" != Linux ] || { has_library libvulkan.so.1 && has_vulkan_driver; }; then
    return
  fi
  install_packages "runs the shaders in the tests" libvulkan1 mesa-vulkan-drivers
}

has_library() {
  local known
  known=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null) && [[ $known == *"$1"* ]]
}

has_vulkan_driver() {
  [ -n "${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}}" ] \
    || compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null || compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null
}

setup_page() {
  if ! has node || ! has npm; then
    fail "Node is not installed, and the viewer's page is built with it." \
      "Get version $NODE_LEAST or newer from https://nodejs.org, with npm, then run this again."
  fi
  local version
  version=$(node --version)
  at_least "${version#v}" "$NODE_LEAST" || fail "Node $version is too old: $NODE_LEAST is the least." \
    "Get a newer one from https://nodejs.org, then run this again."
  local stamp=web/node_modules/.terrane-stamp wanted
  wanted="$(sha256sum <web/package-lock.json) node ${version%%.*}"
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    say "installing the packages of web/package-lock.json into web/node_modules"
    (cd web && npm ci --no-audit --no-fund) || fail "The packages of the viewer could not be installed." \
      "npm said why above; it needs the npm registry once, and nothing as long as web/package-lock.json stays the same."
    printf '%s' "$wanted" >"$stamp"
  fi
}

setup_browser() {
  if [ -n "$(find_browser)" ]; then
    return
  fi
  # Ubuntu's package of this name only points to a snap.
  if grep -qs '^ID=ubuntu' /etc/os-release; then
    fail "Chromium is missing: the end-to-end tests open the page in it." \
      "This system's packages have no plain chromium. Install Chromium or Google Chrome by hand" \
      "(on Ubuntu: sudo snap install chromium), or set CHROMIUM to the program, then run this again."
  fi
  install_packages "opens the page in the end-to-end tests" chromium
}

# The Python that reads and labels with somebody else's code. TERRANE_PYTHON names another one.
setup_python() {
  if [ -n "${TERRANE_PYTHON:-}" ]; then
    "$TERRANE_PYTHON" -c 'import nbtlib, numpy, scipy.ndimage, cc3d, dijkstra3d, dijkstra3d_rs, crackle' \
      || fail "TERRANE_PYTHON=$TERRANE_PYTHON lacks nbtlib, numpy, scipy, connected-components-3d, dijkstra3d, dijkstra3d-rs or crackle-codec." \
        "Install them there, or unset TERRANE_PYTHON to have them put into target/python."
    return
  fi
  local list=core/formats/tests/independent/requirements.txt stamp=target/python/.terrane-stamp wanted
  wanted=$(sha256sum <"$list")
  if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && [ -x target/python/bin/python ]; then
    return
  fi
  python3 -c 'import venv, ensurepip' 2>/dev/null \
    || install_packages "reads our files independently in the tests" python3 python3-venv
  say "installing nbtlib, numpy, scipy, cc3d, dijkstra3d and crackle into target/python (the tests' independent readers, and peers)"
  rm -rf target/python
  mkdir -p target
  if ! python3 -m venv target/python \
    || ! target/python/bin/pip install --quiet --disable-pip-version-check -r "$list"; then
    fail "The packages of $list could not be installed into target/python; the tests compare with them." \
      "pip said why above; it needs PyPI once. TERRANE_PYTHON can name a Python that has them."
  fi
  printf '%s' "$wanted" >"$stamp"
}

setup_bench() {
  if ! [ -x /usr/lib/minetest/minetestserver ] || ! [ -x /usr/bin/time ]; then
    install_packages "is what generation is measured against" minetest-server minetest-data time
  fi
  setup_python
}

# Fuzzing needs a nightly compiler. A user without one is told, CI requires it.
setup_fuzz() {
  if ! cargo +nightly --version >/dev/null 2>&1; then
    if [ "${TERRANE_REQUIRE_FUZZ:-0}" = 1 ]; then
      fail "There is no nightly toolchain, and the fuzz smoke run is required here." \
        "Install it with: rustup toolchain install nightly"
    fi
    return
  fi
  if ! cargo fuzz --version >/dev/null 2>&1; then
    say "installing cargo-fuzz $CARGO_FUZZ with cargo (it runs the fuzz targets)"
    cargo install --quiet --locked "cargo-fuzz@$CARGO_FUZZ" || fail "cargo-fuzz could not be installed." \
      "cargo said why above; it needs crates.io once. Without a nightly toolchain the fuzz step is left out."
  fi
}

for part in "$@"; do
  case $part in
    rust) setup_rust ;;
    gpu) setup_gpu ;;
    page) setup_page ;;
    test)
      setup_lints
      setup_browser
      setup_python
      ;;
    lints) setup_lints ;;
    browser) setup_browser ;;
    python) setup_python ;;
    bench) setup_bench ;;
    fuzz) setup_fuzz ;;
    *) fail "setup.sh does not know the part $part" ;;
  esac
done
