#!/bin/sh
# Builds one part. SECRET is not in the step's `env`, so it does not arrive even when the caller has it.
echo "${GREETING:-hello} from part $1, secret=${SECRET:-absent}" > "out/$1.txt"
