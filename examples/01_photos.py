"""A folder of photos to a scene, and what became of each photo: `python 01_photos.py PHOTOS OUT`."""

import sys

import fewview

photos, out = sys.argv[1:3]
try:
    run = fewview.reconstruct(photos, out, preset="fast")
except fewview.FewviewError as error:  # what you can mend: it says how
    sys.exit(f"{error.what}\n{error.remedy}")

print(run.results.verdict.text)
for photo in run.photos:
    print(f"{photo.name}: {'placed' if photo.registered else photo.reason}")
print(f"Open {run.out / 'report.html'}")
