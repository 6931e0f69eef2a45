# Named steps of a run: each says when it begins; where the time went is printed at the end, however that comes.

declare -a STEPS=() AT_EXIT=()
declare -A BACKGROUND=()
STEP=

# step NAME COMMAND…: stops the run when the command fails.
step() {
	STEP=$1 BEGAN=$SECONDS
	shift
	printf '\n=== %s\n' "$STEP"
	"$@" # not in a condition: `set -e` would be off inside functions
	STEPS+=("$(printf '%5d s  %s' $((SECONDS - BEGAN)) "$STEP")")
	STEP=
}

# in_the_background NAME COMMAND…: its output is printed by `wait_for NAME`, which stops the run when it failed.
in_the_background() {
	local name=$1 log
	shift
	log=$(mktemp)
	"$@" >"$log" 2>&1 </dev/null &
	BACKGROUND[$name]="$! $log"
}

wait_for() { step "$1 (what was left of it)" _wait_for "$1"; }

_wait_for() {
	local pid log status=0
	read -r pid log <<<"${BACKGROUND[$1]}"
	unset "BACKGROUND[$1]"
	wait "$pid" || status=$?
	cat "$log"
	rm -f "$log"
	return "$status"
}

# at_exit COMMAND…: runs when the script ends, the last one first, whatever the script's end is.
at_exit() { AT_EXIT=("$(printf '%q ' "$@")" "${AT_EXIT[@]}"); }

_leave() {
	local status=$? command name pid log
	set +e
	[ -z "$STEP" ] || STEPS+=("$(printf '%5d s  %s: FAILED' $((SECONDS - BEGAN)) "$STEP")")
	for name in "${!BACKGROUND[@]}"; do
		read -r pid log <<<"${BACKGROUND[$name]}"
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
		rm -f "$log"
	done
	for command in "${AT_EXIT[@]}"; do eval "$command"; done
	printf '\nWhere the time went:\n'
	printf '%s\n' "${STEPS[@]}"
	printf '%5d s  in all\n' "$SECONDS"
	exit "$status"
}
trap _leave EXIT
