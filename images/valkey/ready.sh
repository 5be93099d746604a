#!/bin/sh
# Succeeds once the server answers with its data loaded.
VALKEYCLI_AUTH=$(cat "$PASSWORD_FILE")
REDISCLI_AUTH=$VALKEYCLI_AUTH
export VALKEYCLI_AUTH REDISCLI_AUTH
[ "$(valkey-cli ping)" = PONG ]
