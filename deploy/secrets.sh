#!/bin/sh
# Makes what is missing of the secrets that docker-compose.yml hands to its services; what is there stays as it is.
#   sh deploy/secrets.sh            random passwords, no key of a paid provider
#   sh deploy/secrets.sh rabbitmq   the same, and RabbitMQ as the broker
set -eu

case "${1:-}" in
  "" | rabbitmq) ;;
  *) echo "usage: sh deploy/secrets.sh [rabbitmq]" >&2; exit 2 ;;
esac

folder="$(dirname "$0")/secrets"
mkdir -p "$folder"
# The folder keeps others on this machine out. The files are readable, because the users within the containers are not its
# owner and see the files without their folder.
chmod 700 "$folder"
umask 022

random() {
  od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n'
}

make() { # name, content
  [ -e "$folder/$1" ] || printf '%s' "$2" >"$folder/$1"
}

make redis_password "$(random)"
make flower_login "operator:$(random)"
make grafana_password "$(random)"
make rabbitmq_conf "$(printf 'default_user = understudy\ndefault_pass = %s' "$(random)")"
# Empty: no paid provider, and Redis as the broker.
make openai_api_key ""
make broker_url ""

if [ "${1:-}" = rabbitmq ] && [ ! -s "$folder/broker_url" ]; then
  password="$(sed -n 's/^default_pass = //p' "$folder/rabbitmq_conf")"
  printf 'amqp://understudy:%s@rabbitmq:5672//' "$password" >"$folder/broker_url"
fi

echo "The secrets are in $folder; flower_login holds user and password of Flower, openai_api_key is where your key goes."
