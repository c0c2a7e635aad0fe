#!/usr/bin/env bash
# `npm run test:native`: trains and predicts on the native library of TensorFlow, on this Node and on Node 24.
# The install script of @tensorflow/tfjs-node fetches its library from outside the package registries. This builds the addon from npm and
# PyPI alone, in a copy of the project, and leaves the project's own node_modules as they are.
# Needs Linux x86_64, g++, python3 with pip, and 900 MB below ${XDG_CACHE_HOME:-~/.cache}/tocsin-native; 60 s the first time, 20 s later.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tocsin-native
copy=$cache/project
# The first TensorFlow whose wheel holds libtensorflow_cc.so.2; its C API serves what tfjs-node 4.22 was written for.
tensorflow=2.12.1
wheel_sha256=7ffb595707a8fb376deaddc768784c7a0242b16cbc6e06393b1733b2ce19f855

[ "$(uname -sm)" = "Linux x86_64" ] || { echo "test:native builds for Linux x86_64 only, this is $(uname -sm)" >&2; exit 2; }
for program in g++ python3; do
  command -v "$program" > /dev/null || { echo "test:native needs $program: apt-get install g++ python3-pip" >&2; exit 2; }
done

# 1. The project with the package in it. Without its script npm keeps what it would otherwise drop.
mkdir -p "$copy"
if ! cmp -s "$root/package-lock.json" "$copy/package-lock.json" || [ ! -d "$copy/node_modules/@tensorflow/tfjs-node" ]; then
  cp "$root/package.json" "$root/package-lock.json" "$copy/"
  (cd "$copy" && npm ci --ignore-scripts --no-audit --no-fund > /dev/null)
fi
rm -rf "$copy/src" "$copy/test" "$copy/models"
cp -r "$root/src" "$root/test" "$root/models" "$root/package.json" "$root/tsconfig.json" "$copy/"
package=$copy/node_modules/@tensorflow/tfjs-node

# 2. The library and its headers, out of the wheel.
library=$cache/libtensorflow-$tensorflow
if [ ! -f "$library/.complete" ]; then
  rm -rf "$library" "$cache/wheel" && mkdir -p "$cache/wheel"
  echo "tensorflow-cpu==$tensorflow --hash=sha256:$wheel_sha256" > "$cache/wheel/requirements.txt"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --implementation cp --python-version 3.11 --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 \
    -r "$cache/wheel/requirements.txt" -d "$cache/wheel"
  python3 "$root/test/native/unpack-wheel.py" "$cache"/wheel/*.whl "$library"
  (
    cd "$library/lib"
    strip --strip-unneeded ./*.so.2 2> /dev/null || true
    ln -sf libtensorflow_cc.so.2 libtensorflow.so
    ln -sf libtensorflow_cc.so.2 libtensorflow.so.2
    ln -sf libtensorflow_framework.so.2 libtensorflow_framework.so
  )
  rm -rf "$cache/wheel"
  touch "$library/.complete"
fi
rm -rf "$package/deps" && mkdir -p "$package/deps"
cp -al "$library/lib" "$library/include" "$package/deps/" 2> /dev/null || cp -a "$library/lib" "$library/include" "$package/deps/"

# 3. The addon: N-API, so that one build serves every Node.
addon=$package/lib/napi-v8/tfjs_binding.node
if [ ! -f "$addon" ]; then
  (cd "$cache" && { [ -f package.json ] || echo '{"private":true}' > package.json; } && npm install --no-audit --no-fund --silent node-api-headers@1 > /dev/null)
  mkdir -p "$(dirname "$addon")"
  g++ -O2 -std=c++17 -fPIC -shared -DNAPI_VERSION=8 -I"$cache/node_modules/node-api-headers/include" -I"$package/deps/include" \
    "$package/binding/tfjs_backend.cc" "$package/binding/tfjs_binding.cc" \
    -L"$package/deps/lib" -ltensorflow -ltensorflow_framework '-Wl,-rpath,$ORIGIN/../../deps/lib' -o "$addon"
fi

# 4. The tests, on this Node and on one that has lost what tfjs-node calls.
[ -x "$cache/node_modules/node/bin/node" ] || (cd "$cache" && npm install --no-audit --no-fund --silent node@24 > /dev/null)
cd "$copy"
for node in "$(command -v node)" "$cache/node_modules/node/bin/node"; do
  echo "Node $("$node" --version)"
  "$node" node_modules/vitest/vitest.mjs run --config test/native/vitest.config.ts
done
