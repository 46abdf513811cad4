#!/bin/sh
echo "SKIPPED: libkqueue is not here, so nothing runs over the kqueue reactor: run tools/get_libkqueue"
