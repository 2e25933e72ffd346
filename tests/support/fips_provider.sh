#!/bin/sh
# Builds OpenSSL's FIPS provider from Debian's source package into FOLDER (fips.so, openssl.cnf), for the test of --fips:
#   tests/support/fips_provider.sh FOLDER
# Needs gcc, make, perl, openssl and a Debian mirror; takes about a minute. Such a provider is not a validated one.
set -eu
folder=$1
mkdir -p "$folder/lists/partial" "$folder/source"
folder=$(cd "$folder" && pwd)
. /etc/os-release
printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian %s main\n' \
  "$VERSION_CODENAME" >"$folder/source.list"
set -- -o Dir::Etc::sourcelist="$folder/source.list" -o Dir::Etc::sourceparts=- -o Dir::State::Lists="$folder/lists"
apt-get "$@" update -q
(cd "$folder/source" && apt-get "$@" source --download-only openssl && tar xf openssl_*.orig.tar.gz)
cd "$folder"/source/openssl-*/
./Configure enable-fips no-tests >/dev/null
make -j"$(nproc)" build_generated >/dev/null
make -j"$(nproc)" providers/fips.so >/dev/null
cp providers/fips.so "$folder/"
cd "$folder"
rm -rf source lists source.list
openssl fipsinstall -quiet -out fipsmodule.cnf -module ./fips.so
cat >openssl.cnf <<END
nodejs_conf = nodejs_init
.include $folder/fipsmodule.cnf
[nodejs_init]
providers = provider_sect
[provider_sect]
fips = fips_sect
base = base_sect
[base_sect]
activate = 1
END
