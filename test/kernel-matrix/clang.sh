#!/bin/sh
# Stands in for clang in the test machine: hands out the object that the host compiled from the same source.
abi=2
while [ $# -gt 0 ]; do
	case $1 in
	-DWEIR_ABI=*) abi=${1#*=} ;;
	-c) source=${2##*/} && shift ;;
	-o) out=$2 && shift ;;
	esac
	shift
done
exec cat "/weir/objects/abi-$abi/${source%c}o" >"$out"
