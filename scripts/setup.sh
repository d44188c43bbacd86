#!/bin/sh
# Makes a Debian 12 machine ready for Weir: packages, npm modules, build. Idempotent; silent about what is in place.
# usage: setup.sh [test|agent]      test: also what the tests need; agent: only what a node's agent needs
set -eu
cd "$(dirname "$0")/.."

packages="clang libc6-dev libbpf-dev libbpf1 bpftool iproute2 iperf3 iputils-ping iputils-tracepath traceroute ethtool util-linux libcap2-bin procps kmod"
[ "${1:-}" = test ] && packages="$packages fonts-dejavu-core qemu-system-x86 busybox-static containernetworking-plugins podman crun netavark iptables"

say() { printf 'setup: %s\n' "$*"; }
die() {
	say "$*" >&2
	exit 1
}

missing() {
	for p in $packages; do
		case "$installed" in *" $p "*) ;; *) printf '%s ' "$p" ;; esac
	done
}

install_packages() {
	[ "$(id -u)" = 0 ] || die "install Debian packages: not root (run as root once, or: apt-get install $1)"
	export DEBIAN_FRONTEND=noninteractive
	log=$(mktemp)
	# shellcheck disable=SC2086 # a list of words
	if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $1; } >"$log" 2>&1; then
		cat "$log" >&2
		die "install Debian packages: apt-get failed (above)"
	fi
	rm -f "$log"
}

# npm replaces node_modules, Weir's own Node.js in there included: the machine's runs it. In npm's scripts ours comes first.
PATH=${PATH#"$PWD/node_modules/.bin:"}
own=node_modules/.bin/node
node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)' || die "run npm: Node.js 20 or newer is needed"

# shellcheck disable=SC2086
installed=" $(dpkg-query -W -f='${Package}/${db:Status-Status} ' $packages 2>/dev/null | tr ' ' '\n' |
	sed -n 's|/installed$||p' | tr '\n' ' ') "
wanted=$(missing)
apt=
if [ -n "$wanted" ]; then
	say "installing Debian packages: $wanted"
	install_packages "$wanted" &
	apt=$!
fi

# npm needs nothing of the above, so both run at once
all=node_modules/.weir-package-lock.json
some=node_modules/.weir-agent-package-lock.json
current() { [ -x "$own" ] && cmp -s package-lock.json "$1"; }
if ! current "$all" && ! { [ "${1:-}" = agent ] && current "$some"; }; then
	say "installing npm modules"
	if [ "${1:-}" = agent ]; then stamp=$some omit=--omit=dev; else stamp=$all omit=--include=dev; fi
	npm ci --include=optional "$omit" --no-audit --no-fund --loglevel=error || {
		wait
		die "npm ci failed (above)"
	}
	[ -x "$own" ] || die "install Node.js: npm has none for $(uname -sm) (x86_64 and aarch64 with glibc are served)"
	cp package-lock.json "$stamp"
fi
if [ -n "$apt" ]; then wait "$apt"; fi
[ "${1:-}" != test ] || sh scripts/fetch-kernel.sh

"$own" scripts/build.mjs --quiet
