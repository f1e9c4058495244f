#!/bin/sh
# Makes the secrets that compose.yaml gives to its services: docker/make-secrets.sh
#
# They lie in docker/secrets/, which git ignores, and which nobody but you can enter (mode 700). Its files may be read
# by all (mode 444): each service reads them as a user of its own, none of whom is you. Docker mounts single files.
#
# They are made once. For new ones stop the services, move the folder away and run this again. PostgreSQL and MLflow
# keep the passwords of their first start in their volumes: change those there, too (ALTER ROLE, MLflow's user page).
set -eu
umask 077
folder=$(cd "$(dirname "$0")" && pwd)/secrets
if [ -e "$folder" ]; then
    echo "$folder is there already; its secrets are kept."
    exit 0
fi
made=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$made"' EXIT
cd "$made"

# Hexadecimal: no program takes a digit or a letter for something else. Written by the shell itself: not seen in `ps`.
random() { openssl rand -hex "$1"; }
secret() { printf '%s\n' "$2" > "$1"; }

secret ray-token "$(random 32)"
secret postgres-password "$(random 24)"
secret mlflow-flask-key "$(random 32)"
secret mlflow-admin-password "$(random 16)"
secret mlflow-credentials "[mlflow]
mlflow_tracking_username = tickets
mlflow_tracking_password = $(random 16)"

# Three users of the object store: one makes the buckets, the others have one bucket each.
users=""
for user in setup mlflow tickets; do
    key=$(random 20)
    secret "objects-$user" "[default]
aws_access_key_id = $user
aws_secret_access_key = $key"
    actions="\"Read:$user\", \"Write:$user\", \"List:$user\""
    if [ "$user" = setup ]; then actions='"Admin"'; fi
    pair="{\"accessKey\": \"$user\", \"secretKey\": \"$key\"}"
    users="$users${users:+,
}  {\"name\": \"$user\", \"credentials\": [$pair], \"actions\": [$actions]}"
done
secret objects-users.json "{\"identities\": [
$users
]}"

# Closes a port by which anybody could otherwise make users of the object store: it asks for a certificate of this one.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=nobody \
    -keyout objects-grpc.pem -out certificate 2> errors || { cat errors >&2; exit 1; }
cat certificate >> objects-grpc.pem
rm certificate errors

chmod 444 ./*
mv "$made" "$folder"
trap - EXIT
echo "The secrets are in $folder."
