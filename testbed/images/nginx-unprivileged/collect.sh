# Collects in the folder $1 what nginx needs to run, and a shell to look around with.
set -eu
out=$1
box() { /bin/busybox "$@"; }

for folder in bin etc/nginx/conf.d docker-entrypoint.d tmp usr/bin usr/sbin usr/share/nginx/html var/log/nginx; do
    box mkdir -p "$out/$folder"
done
box chmod 1777 "$out/tmp"

box cp /usr/sbin/nginx "$out/usr/sbin/nginx"
box cp /etc/nginx/mime.types /etc/nginx/fastcgi_params /etc/nginx/uwsgi_params /etc/nginx/scgi_params "$out/etc/nginx/"

# The loader names each library and where it found it; the loader's own path stands in the program.
loader=$(box ls /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.* 2>/dev/null | box head -n 1)
for library in $loader $("$loader" --list /usr/sbin/nginx | box grep -o '/[^ ]*\.so[^ ]*'); do
    box mkdir -p "$out/$(box dirname "$library")"
    box cp -L "$library" "$out/$library"
done

box cp /bin/busybox "$out/bin/busybox"
for tool in $(box --list); do
    case $tool in busybox) ;; *) box ln -s busybox "$out/bin/$tool" ;; esac
done

# Logs go to the container's output, as in the public image.
box ln -s /dev/stdout "$out/var/log/nginx/access.log"
box ln -s /dev/stderr "$out/var/log/nginx/error.log"

echo 'root:x:0:0:root:/:/bin/sh
nginx:x:101:101:nginx:/tmp:/bin/false
nobody:x:65534:65534:nobody:/:/bin/false' >"$out/etc/passwd"
echo 'root:x:0:
nginx:x:101:
nogroup:x:65534:' >"$out/etc/group"
box chown -R 101:101 "$out/etc/nginx/conf.d" "$out/usr/share/nginx/html"
