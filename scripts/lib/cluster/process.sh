# Processes of scripts/cluster that outlive the script. Enters: a name and a command. Leaves:
# $run/NAME.pid with the process id and its start time, so that a number used again is never taken
# for it, and $run/NAME.log.

# The start time of a process that runs, in clock ticks since boot; nothing for one that is gone.
_started_at() { # PID
  sed -nE 's/^.*\) ([^ZX]) /\1 /p' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
}

launch() { # NAME COMMAND...
  local name=$1 pid
  shift
  setsid "$@" >>"$run/$name.log" 2>&1 </dev/null &
  pid=$!
  disown $pid
  echo "$pid $(_started_at $pid)" >"$run/$name.pid"
}

# The process id of NAME, if it is running.
pid_of() { # NAME
  local pid started
  [ -f "$run/$1.pid" ] && read -r pid started <"$run/$1.pid" || return 1
  [ -n "$started" ] && [ "$(_started_at "$pid")" = "$started" ] && echo "$pid"
}

is_alive() { # NAME
  pid_of "$1" >/dev/null
}

_all_gone() { # PID...
  local pid
  for pid; do [ -z "$(_started_at "$pid")" ] || return 1; done
}

# end NAME SECONDS: asks it to end, and after SECONDS makes it.
end() {
  local pid
  pid=$(pid_of "$1") || return 0
  kill "$pid" 2>/dev/null || true
  if ! _within "$2" _all_gone "$pid"; then
    kill -KILL "$pid" 2>/dev/null || true
    wait_until 10 "$1 to end" _all_gone "$pid"
  fi
}

# Ends at once what the pid files name.
end_all() { # FILE...
  local file pid pids=()
  for file; do
    if pid=$(pid_of "$(basename "$file" .pid)"); then pids+=("$pid"); fi
  done
  kill_and_wait ${pids[@]+"${pids[@]}"}
}

kill_and_wait() { # PID...
  [ $# -gt 0 ] || return 0
  kill -KILL "$@" 2>/dev/null || true
  wait_until 10 "processes $* to end" _all_gone "$@"
}

# The subshell keeps what COMMAND is denied, a voice, for a trap that a signal calls meanwhile.
_within() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until ("$@") >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}

wait_until() { # SECONDS WHAT COMMAND...
  _within "$1" "${@:3}" || fail "waited $1 s for $2, in vain"
}

# wait_for SECONDS NAME WHAT COMMAND...: waits no longer than the process NAME is running.
wait_for() {
  _within "$1" _ended_or "$2" "${@:4}" && is_alive "$2" && return 0
  is_alive "$2" || fail "$2 ended by itself: $(tail -n 1 "$run/$2.log")"
  fail "waited $1 s for $3, in vain; see scripts/cluster logs"
}

_ended_or() { # NAME COMMAND...
  ! is_alive "$1" || "${@:2}"
}
