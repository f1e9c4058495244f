"""The DAG of a grid as a Mermaid diagram, for one seed: the others look the same."""

from pipeline.experiment.grid import PRUNE, Grid
from pipeline.experiment.planning import Plan


def mermaid(grid: Grid, plan: Plan | None = None) -> str:
    """A flowchart of the first seed's stages; with a plan, dashed ones are to run and solid ones are cached."""
    seed = grid.spec.seeds[0]
    names: dict[str, str] = {}
    lines = ["flowchart LR"]
    for key, stage in grid.stages.items():
        if stage.recipe.seed != seed:
            continue
        names[key] = f"s{len(names)}"
        text = stage.label.replace('"', "'").replace(f" seed {seed}", "").replace("->", "→")
        opening, closing = ("([", "])") if grid.roles[key] == PRUNE else ("[", "]")
        lines.append(f'  {names[key]}{opening}"{text}"{closing}')
        lines += [f"  {names[read.stage]} -- {read.output} --> {names[key]}" for read in stage.inputs.values()]
    if plan is not None:
        waiting = [name for key, name in names.items() if key in plan.to_run]
        if waiting:
            lines += ["  classDef torun stroke-dasharray: 5 5", f"  class {','.join(waiting)} torun"]
    return "\n".join(lines) + "\n"
