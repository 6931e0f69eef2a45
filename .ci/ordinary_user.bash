# An account that is not root, with an empty home and a clone of its own: what the README's reader has.
#
# Its cache lies outside root's home, which is closed to it, and is kept between runs: contents are keyed as everybody's.

ACCOUNT=agent-datastores-ci
ACCOUNT_CACHE=/var/cache/$ACCOUNT

# What a reader has by their system: Python's venv; a browser, without which a test is skipped.
ordinary_user_packages() {
	command -v apt-get >/dev/null || return 0
	local missing=()
	command -v chromium >/dev/null || missing+=(chromium)
	PATH=$(_path) python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
	[ ${#missing[@]} = 0 ] && return 0
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
}

# The account where it is missing; a new home; a clone by way of a bundle, since git refuses another owner's repository.
ordinary_user_up() {
	id "$ACCOUNT" >/dev/null 2>&1 || useradd --no-create-home --home-dir /nonexistent --shell /bin/bash "$ACCOUNT"
	install -d -m 755 -o "$ACCOUNT" -g "$ACCOUNT" "$ACCOUNT_CACHE"
	ACCOUNT_HOME=$(mktemp -d /var/tmp/$ACCOUNT.XXXXXX)
	at_exit rm -rf "$ACCOUNT_HOME"
	git bundle create --quiet "$ACCOUNT_HOME/repository.bundle" HEAD
	chown -R "$ACCOUNT:$ACCOUNT" "$ACCOUNT_HOME"
	as_ordinary_user --in / git -c advice.detachedHead=false clone --quiet "$ACCOUNT_HOME/repository.bundle" "$ACCOUNT_HOME/clone"
}

# as_ordinary_user [--in DIRECTORY] COMMAND…: in its clone, with root's network settings and nothing else of root's.
as_ordinary_user() {
	local directory=$ACCOUNT_HOME/clone names name
	if [ "$1" = --in ]; then directory=$2; shift 2; fi
	local environment=("HOME=$ACCOUNT_HOME" "PATH=$(_path)" "XDG_CACHE_HOME=$ACCOUNT_CACHE")
	names=$(compgen -e)
	for name in $names; do
		case $name in
			CI | LANG | LC_* | TERM | TZ | PIP_* | UV_* | GOPROXY | GOSUMDB | *_CA_* | *_CERT* | *_[Pp][Rr][Oo][Xx][Yy] | SSL_*)
				case ${!name} in */root/*) ;; *) environment+=("$name=${!name}") ;; esac ;;
		esac
	done
	runuser -u "$ACCOUNT" -- env -i "${environment[@]}" bash -c 'cd "$1" && shift && exec "$@"' bash "$directory" "$@"
}

# Programs that the account has built are not built again for root. Each folder is whole: it appeared in one rename.
copy_what_the_account_built() {
	local from to=${XDG_CACHE_HOME:-$HOME/.cache}/agent-datastores/servers
	mkdir -p "$to"
	for from in "$ACCOUNT_CACHE"/agent-datastores/servers/*/; do
		from=${from%/}
		[ -x "$from/$(basename "${from%-*}")" ] && [ ! -e "$to/$(basename "$from")" ] || continue
		cp -r --no-preserve=ownership "$from" "$to/.copy.$$"
		rm -rf "$to/.copy.$$"/.build.*
		mv -T "$to/.copy.$$" "$to/$(basename "$from")"
	done
}

# Without what lies in root's home.
_path() {
	local part path=
	while IFS= read -r -d : part; do
		case $part in "$HOME" | "$HOME"/* | '') ;; *) path+=${path:+:}$part ;; esac
	done <<<"$PATH:"
	printf '%s' "$path"
}
