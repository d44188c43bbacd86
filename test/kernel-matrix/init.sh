#!/usr/bin/busybox sh
# First process of a test machine: mounts, modules, /weir/command, power off.
export PATH=/usr/bin HOME=/root
b=/usr/bin/busybox
$b mkdir -p /proc /sys /dev /run /tmp /root /var
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
$b ln -s /proc/self/fd /dev/fd
$b mkdir -p /run/netns
ip link set lo up
while read -r module; do modprobe "$module" || echo "init: modprobe $module failed"; done </weir/modules

cd /weir || exit 1
$b stty -F /dev/ttyS1 raw
$b setsid /usr/bin/bash command >/dev/ttyS1 2>&1 </dev/null
code=$?
$b stty -F /dev/ttyS1 >/dev/null # waits until the line is drained
echo "weir-vm-exit $code"
echo o >/proc/sysrq-trigger
sleep 60
