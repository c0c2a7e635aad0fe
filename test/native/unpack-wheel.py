"""unpack-wheel.py WHEEL FOLDER: the shared libraries and the C headers of a TensorFlow wheel, and its licences."""
import os
import shutil
import sys
import zipfile

wheel, folder = sys.argv[1:3]
INCLUDE = 'tensorflow/include/'
LIBRARIES = ('tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2')


def place_of(name):
    if name in LIBRARIES:
        return os.path.join('lib', os.path.basename(name))
    if name.startswith((INCLUDE + 'tensorflow/c/', INCLUDE + 'tensorflow/tsl/c/')) or (
        name.startswith(INCLUDE) and os.path.basename(name).startswith('ctstring')
    ):
        return os.path.join('include', name[len(INCLUDE) :])
    if name.endswith(('.dist-info/LICENSE', 'THIRD_PARTY_NOTICES.txt')):
        return os.path.basename(name)
    return None


with zipfile.ZipFile(wheel) as archive:
    for item in archive.infolist():
        place = place_of(item.filename)
        if place is None or item.is_dir():
            continue
        path = os.path.join(folder, place)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with archive.open(item) as source, open(path, 'wb') as target:
            shutil.copyfileobj(source, target, 1 << 20)
