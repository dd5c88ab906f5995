#!/usr/bin/env bash
# How many tests run at the same time: half as many again as there are processors, since tests wait for a good part of their time.
echo $((($(nproc) * 3 + 1) / 2))
