#!/bin/sh
# Switches the proxy for /api/ on when BACKEND_URL is set (docker-compose); in Kubernetes the ingress leads /api/.
# The value is checked character by character and then only printed into a fixed text: never evaluated, and unable
# to end a directive of nginx.
#
#   $1  the file to write, default /tmp/backend-proxy.conf
#   $2  where the name servers stand, default /etc/resolv.conf
set -eu
target=${1:-/tmp/backend-proxy.conf}
resolv=${2:-/etc/resolv.conf}

refuse() {
    # The value is not repeated: somebody may have put credentials into it.
    echo "BACKEND_URL: $1; expected http://HOST[:PORT], for example http://backend:8000, or nothing" >&2
    exit 1
}

# A container that is started again has its old /tmp.
rm -f -- "$target"
url=${BACKEND_URL:-}
if [ -z "$url" ]; then exit 0; fi

case $url in
    http://*) authority=${url#http://} ;;
    *) refuse "does not begin with http://" ;;
esac
authority=${authority%/}
case $authority in
    *:*) host=${authority%%:*} port=${authority#*:} ;;
    *) host=$authority port=80 ;;
esac
case $host in
    '' | [.-]* | *[!0-9A-Za-z.-]*) refuse "no host name, or one with characters other than letters, digits, . and -" ;;
esac
case $port in
    '' | 0* | *[!0-9]* | ??????*) refuse "the port is not a number from 1 to 65535" ;;
esac
if [ "$port" -gt 65535 ]; then refuse "the port is not a number from 1 to 65535"; fi

# Names are looked up while nginx runs, so that backends which come and go are found.
servers=
while read -r word address _; do
    if [ "$word" != nameserver ]; then continue; fi
    case $address in
        '' | *[!0-9A-Fa-f.:]*) ;;
        *:*) servers="$servers [$address]" ;;
        *) servers="$servers $address" ;;
    esac
done <"$resolv"
if [ -z "$servers" ]; then refuse "no name server in $resolv can look its host up"; fi

cat >"$target" <<CONF
location /api/ {
    resolver$servers valid=5s;
    set \$backend http://$host:$port;
    proxy_pass \$backend;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host \$http_host;
    proxy_set_header X-Forwarded-For \$remote_addr;
    proxy_set_header X-Forwarded-Proto \$scheme;
    proxy_connect_timeout 2s;
    proxy_read_timeout 30s;
    # Ours for pages are left out: the backend sets its own.
    add_header Cache-Control "no-store" always;
}
CONF
echo "BACKEND_URL: /api/ goes to http://$host:$port"
