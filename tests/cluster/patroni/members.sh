#!/bin/sh
# Three machines of etcd, Patroni and PostgreSQL, each a network namespace, for as long as standard input is open:
# members.sh NAME NETWORK FOLDER PROGRAMS USER GROUP
#
# NAME begins the names of what is made (at most 11 characters), NETWORK is a /24 without its last number, PROGRAMS is PostgreSQL's
# folder, USER and GROUP are the numbers of who runs it all. A line of standard input is a command and the number of a member: `start`
# (etcd and Patroni), `patroni` (after a kill), `kill` (kill -9 of Patroni and PostgreSQL), `cut` and `mend` (its cable). Each is
# answered by a line. When standard input ends, so does all of it, and everything that was made is taken away.
set -u
name=$1 network=$2 folder=$3 programs=$4 user=$5 group=$6
here=$(dirname "$0")/../../../deploy/patroni

export PATRONI_SUPERUSER_PASSWORD=super PATRONI_REPLICATION_PASSWORD=replica PATRONI_REWIND_PASSWORD=rewind
export PG_PROGRAMS="$programs" LC_ALL=C

pids() { ip netns pids "$name-$1" 2>/dev/null; }

clean_up() {
    for member in 1 2 3; do
        for pid in $(pids "$member"); do kill -KILL "$pid" 2>/dev/null; done
        while [ -n "$(pids "$member")" ]; do sleep 0.05; done
        ip netns del "$name-$member" 2>/dev/null
    done
    ip link del "$name" 2>/dev/null
    ip netns del "$name-0" 2>/dev/null
    rm -rf "$folder"
}
trap clean_up EXIT
# An interrupt from the terminal ends the tests, and those end this.
trap '' INT TERM

# The bridge has a namespace to itself: in this one a firewall may be in force for what is passed on (Docker's is, where it runs).
make_network() {
    ip netns add "$name-0" &&
        ip -n "$name-0" link add bridge type bridge &&
        ip -n "$name-0" link set bridge up &&
        ip link add "$name" type veth peer name here netns "$name-0" &&
        ip -n "$name-0" link set here master bridge up &&
        ip addr add "$network.1/24" dev "$name" &&
        ip link set "$name" up || return
    for member in 1 2 3; do
        ip netns add "$name-$member" &&
            ip -n "$name-0" link add "member$member" type veth peer name eth0 netns "$name-$member" &&
            ip -n "$name-0" link set "member$member" master bridge up &&
            ip -n "$name-$member" addr add "$network.1$member/24" dev eth0 &&
            ip -n "$name-$member" link set eth0 up &&
            ip -n "$name-$member" link set lo up || return
        "$here/member" "db$member" "$folder/db$member" "db1=$network.11" "db2=$network.12" "db3=$network.13" || return
        chown -R "$user:$group" "$folder/db$member" || return
    done
}

# Runs a program on a member, its output kept beside its files.
run() {
    member=$1 program=$2
    shift 2
    ip netns exec "$name-$member" setpriv --reuid "$user" --regid "$group" --clear-groups \
        "$program" "$@" >>"$folder/db$member/$program.log" 2>&1 </dev/null &
}

make_network || exit
echo ready
while read -r command member; do
    case $command in
        start)
            run "$member" etcd --config-file "$folder/db$member/etcd.yml"
            run "$member" patroni "$folder/db$member/patroni.yml"
            ;;
        patroni) run "$member" patroni "$folder/db$member/patroni.yml" ;;
        kill)
            for pid in $(pids "$member"); do
                if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != etcd ]; then kill -KILL "$pid" 2>/dev/null; fi
            done
            ;;
        cut) ip -n "$name-0" link set "member$member" down ;;
        mend) ip -n "$name-0" link set "member$member" up ;;
    esac
    echo "$command $member"
done
