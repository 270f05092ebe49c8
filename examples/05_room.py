"""The plan of a room: `python 05_room.py RUN`."""

import sys

import fewview

run = fewview.open_run(sys.argv[1])
plan = run.room()
if plan is None:
    sys.exit(f"No room: {run.results.room.reason}")
plan = plan.scaled(1 / run.results.scale.metre)
print(run.results.scale.sentence)
print(f"{plan.area:.2f} m², {plan.height:.2f} m high")
for number, wall in enumerate(plan.walls, 1):
    seen = f"confidence {wall.confidence:.0%}" if wall.observed else "inferred: nobody saw it"
    print(f"wall {number}: {wall.length:.2f} m, {seen}")
    for opening in wall.openings:
        print(f"  {opening.kind} from {opening.start:.2f} to {opening.end:.2f}, confidence {opening.confidence:.0%}")
print("For CAD and the web:", *sorted((run.out / "layout").glob("floorplan.*")), run.out / "layout" / "room.glb")
