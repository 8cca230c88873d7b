#!/bin/sh
# What the kernel developers' wrapper does, written from its description: N netperfs at once, each
# with a pause of 2 s before its data, and the sum of what stands at fixed lines of their tables.
#
#   super_netperf.sh N OPTION...
#
# Line 6 is the row under a header of five lines; UDP_STREAM's header has four, and line 7 is what
# was received; other tables have an empty line 6 and their row at 7.
copies=$1
shift
i=0
while [ "$i" -lt "$copies" ]; do
  netperf -s 2 "$@" | awk '
    NR == 6 { sixth = $NF }
    NR == 7 { print (NF > 0 ? $NF : sixth) }' &
  i=$((i + 1))
done | awk '{ sum += $1 } END { printf "%.2f %d\n", sum, NR }'
