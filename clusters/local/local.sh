#!/usr/bin/env bash
# A real Ray cluster of two nodes on this machine, to try out what a cluster does: token, jobs, lanes on two nodes.
#
#   clusters/local/local.sh start     # prints how to submit; needs `ray` on the PATH
#   clusters/local/local.sh status
#   clusters/local/local.sh stop      # ends what it started, and no other Ray
#
# Change, by environment variables: CPUS of each node (default 1), PORT (6379), DASHBOARD_PORT (8265).
# The dashboard listens on this machine alone; Ray's other ports on its network address, and ask for the token.
#
# Verified: tests/clusters/test_scripts.py, and by hand, as clusters/README.md says.
set -euo pipefail

folder=/tmp/tickets-$(id -u) # short: Ray's sockets are below it, and their names may have 107 characters
port=${PORT:-6379} dashboard=${DASHBOARD_PORT:-8265}
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$folder/token
export RAY_JOB_STOP_WAIT_TIME_S=30 # that a stopped run has for its checkpoints; Ray's own are 3
unset RAY_AUTH_TOKEN RAY_ADDRESS

running() { # the process that `begin NAME` started: still there, and still that one
    local pid
    pid=$(cat "$folder/$1.pid" 2>/dev/null) && ps -ww -o args= -p "$pid" | grep -q "node-name=tickets-$1"
}

begin() { # NAME, arguments of `ray start`: in the background, until the node is up
    local name=$1
    shift
    nohup ray start --block --disable-usage-stats --node-name="tickets-$name" --num-cpus="${CPUS:-1}" \
        --object-store-memory=200000000 --min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port=0 "$@" \
        >"$folder/$name.log" 2>&1 </dev/null &
    echo $! >"$folder/$name.pid"
    for ((second = 0; second < 120; second++)); do
        grep -qs "Ray runtime started" "$folder/$name.log" && return
        kill -0 $! 2>/dev/null || break
        sleep 1
    done
    echo "The node $name did not start; the end of $folder/$name.log:" >&2
    tail -n 20 "$folder/$name.log" >&2
    end "$name"
    return 1
}

end() { # NAME: SIGTERM lets `ray start` end its own processes
    running "$1" || return 0
    local pid
    pid=$(cat "$folder/$1.pid")
    kill -TERM "$pid"
    for ((second = 0; second < 30; second++)); do
        running "$1" || return 0
        sleep 1
    done
    kill -KILL "$pid" # its reaper then ends what it had started
}

case ${1:-} in
start)
    if running head; then
        echo "It runs already: $0 status" >&2
        exit 1
    fi
    mkdir -m 700 "$folder" 2>/dev/null || true # it may be there from last time
    if [ -L "$folder" ] || [ ! -O "$folder" ]; then
        echo "$folder belongs to somebody else: remove it, or ask them to." >&2
        exit 1
    fi
    chmod 700 "$folder"
    rm -rf "${folder:?}"/*
    (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$folder/token")
    begin head --head --port="$port" --dashboard-host=127.0.0.1 --dashboard-port="$dashboard" \
        --ray-client-server-port=$((port + 1)) --temp-dir="$folder/ray"
    begin second --address="$(cat "$folder/ray/ray_current_cluster")" || { end head && exit 1; }
    cat <<END
Two nodes. To submit to them:

export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$folder/token
tickets submit experiments/quickstart.yaml --address http://127.0.0.1:$dashboard --store "\$PWD/.tickets/store"
END
    ;;
stop)
    end second
    end head
    rm -f "$folder"/*.pid "$folder/token"
    ;;
status)
    if ! running head; then
        echo "It does not run: $0 start" >&2
        exit 1
    fi
    ray status --address "$(cat "$folder/ray/ray_current_cluster")"
    ;;
*)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"
    exit 2
    ;;
esac
