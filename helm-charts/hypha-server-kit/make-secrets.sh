#!/bin/sh
# Makes the secrets of hypha-server-kit in a namespace, those that are missing.
#   ./make-secrets.sh hypha
set -eu
namespace=${1:?"name the namespace"}
random() { openssl rand -hex 32; }
has() { kubectl --namespace "$namespace" get secret "$1" >/dev/null 2>&1; }

# the values go through standard input, so that they stand in no list of processes
make() {
    name=$1
    {
        printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\nstringData:\n' "$name"
        cat
    } | kubectl --namespace "$namespace" create --filename -
}

if has hypha-postgres && ! has hypha-secrets; then
    echo "hypha-postgres is there and hypha-secrets is not: its database-uri must hold that password. Make it by hand." >&2
    exit 1
fi
if ! has hypha-postgres; then
    if has hypha-secrets; then
        echo "hypha-secrets is there and hypha-postgres is not: its password must be that of database-uri. Make it by hand." >&2
        exit 1
    fi
    postgres=$(random)
    redis=$(random)
    printf '  password: "%s"\n' "$postgres" | make hypha-postgres
    printf '  password: "%s"\n' "$redis" | make hypha-redis
    make hypha-secrets <<END
  jwt-secret: "$(random)"
  root-token: "$(random)"
  database-uri: "postgresql+asyncpg://hypha:$postgres@hypha-postgres:5432/hypha"
  redis-uri: "redis://:$redis@hypha-redis:6379/0"
  access-key-id: "$(openssl rand -hex 10)"
  secret-access-key: "$(random)"
END
fi
