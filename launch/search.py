"""Find, train and record the best networks for your images: the whole story of a run.

From the root of the project, on one machine or as the entry point of a Ray job:

    python launch/search.py
    python launch/search.py --data DIR --space mobilenet_v2 --max-macs 330M --run RUN
    python launch/search.py --data DIR --max-macs 60M --resolutions 96,112,128 --run RUN
    ray job submit --working-dir . -- python launch/search.py --data s3://... --run s3://...

Running the same command again continues where it stopped. Exit codes: 0 done, 1 a stage
failed, 2 a mistake in the request, 130 interrupted, 143 stopped by SIGTERM. A run outlives a
reader of its output that leaves (``| head``), and says on standard error what it has to say.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from raynas.cluster.learning import learn
from raynas.cluster.pretraining import pretrain
from raynas.cluster.resolutions import RunAt, do_each, folder_of_resolutions, plan_each, runs_at
from raynas.cluster.retraining import retrain
from raynas.cluster.rivals import train_rivals
from raynas.cluster.run import Run, end, recorded_run, settings_of
from raynas.cluster.run_setup import begun, planned, run_folder
from raynas.cluster.searching import score, search
from raynas.cluster.teaching import train_teacher
from raynas.cluster.tune.trackers import Tracker
from raynas.errors import UserError
from raynas.export.run_exports import export_finished
from raynas.recording.damage import lost_for_good, missing
from raynas.recording.measured_times import measure_times
from raynas.recording.repair import warning_of_loss
from raynas.recording.warm_start import latency_table_of
from raynas.reporting.page.resolutions import write_resolutions_page
from raynas.reporting.page.writing import reporting
from raynas.reporting.resolution_summary import print_resolutions
from raynas.reporting.resolutions import compare_resolutions
from raynas.reporting.summary import print_report
from raynas.settings.following import LENGTHS, with_length
from raynas.settings.given import given
from raynas.settings.methods import load_method
from raynas.settings.older_names import words_of_today
from raynas.settings.recipes import load_recipe, recipes_beside
from raynas.settings.resolutions import read_resolutions
from raynas.settings.settings import Settings
from raynas.terminal.cli import exit_code, make_console, run_script, values_of, with_flags
from raynas.terminal.output import outlive_output
from raynas.training.starts.member import space_with

METHODS = Path(__file__).parent / "settings"
FEATURES, FINE_TUNING = "feature_error", "fine_tuning"
"""Method and recipe of runs that begin from trained weights, where none is named."""


@dataclass(frozen=True)
class Command:
    """Find, train and record the best networks for your images."""

    settings: Annotated[Settings, tyro.conf.arg(name="")] = field(default_factory=Settings)
    run: str | None = None
    """Run folder, a path or URI; unset: one under runs/, named by data, space and settings."""
    pretrained: str | None = None
    """Run folder of the same space, data, seed and pretraining, to take its supernet over; --from
    takes over all else as well, --start trained weights of any origin, whatever the images."""
    from_: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """Run folder of the same space, data and seed, to take over all of it that is the same;
    --pretrained takes its supernet alone, --start trained weights for other images, too."""
    resolutions: str | None = None
    """Sides of images in pixels, such as 96,112,128: search at each of them within the same limits,
    since smaller images buy channels and layers, and print which best network of all is the most
    accurate on validation images. Each takes a supernet, a search and trainings of its own, in
    RUN/at-96 and so on; unset: one run, at --resolution."""
    track: Tracker | None = None
    """Show the training curves of the trials in mlflow, wandb or tensorboard, too."""
    dry_run: bool = False
    """Print the plan and the forecast, and stop there."""
    skip_forecast: bool = False
    """Do without the forecast and its probe of some seconds; with --dry-run: the plan alone."""
    export: bool = True
    """Whether each trained network is written as a folder that needs no raynas: RUN/exports."""
    verbose: bool = False
    """Show Ray's own messages and what its workers print."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    return exit_code(lambda: run_or_compare(parse(words), make_console()))


def parse(argv: Sequence[str]) -> Command:
    """Return the command: flags over the recipe's TOML file over the method's over defaults."""
    settings = defaults(method_of(argv), argv)
    earlier = values_of("--from", argv)
    if earlier and settings.latency_table is None:
        settings = replace(settings, latency_table=latency_table_of(earlier[-1]))
    command = with_flags(Command(settings), words_of_today(argv), __doc__)
    if command.resolutions is not None:
        for flag in ("--resolution", "--images.resolution"):
            if values_of(flag, argv):
                raise UserError(f"{flag} with --resolutions: give one of the two")
    return replace(command, settings=given(command.settings))


def method_of(argv: Sequence[str]) -> str:
    """Return the method that flags name, or the one that suits what they begin from."""
    named, starts = values_of("--method", argv), values_of("--start", argv)
    usual = FEATURES if starts and starts[-1] != "None" else Settings().method
    return named[-1] if named else usual


def defaults(method: str, argv: Sequence[str]) -> Settings:
    """Return the settings that flags change: those of a recipe over those of a method.

    Where trained weights are the start and no recipe is named, that is the one of fine-tuning, and
    where no space is named, it is the shipped one that publishes the network of that name.

    Args:
        method: Its name or path.
        argv: Words that may name a recipe, and trained weights.
    """
    settings, named = load_method(method, METHODS), values_of("--recipe", argv)
    starts = values_of("--start", argv)
    begins = starts[-1] != "None" if starts else settings.start is not None
    recipe = named[-1] if named else FINE_TUNING if begins else "None"
    if starts and not values_of("--space", argv):
        settings = replace(settings, space=space_with(starts[-1]) or settings.space)
    if recipe != "None":
        settings = load_recipe(recipe, recipes_beside(METHODS), settings)
    lengths = {name: values_of(f"--retrain.{name}", argv) for name in LENGTHS}
    given = [name for name, values in lengths.items() if values and values[-1] != "None"]
    return with_length(settings, given, "flags")


def run_or_compare(command: Command, console: Console) -> None:
    """Do a run, or one at each of several resolutions."""
    if command.resolutions is None:
        run_command(command, console)
    else:
        search_at_each(command, read_resolutions(command.resolutions), console)


def search_at_each(command: Command, resolutions: Sequence[int], console: Console) -> None:
    """Do a run at each resolution, whole and one after another, and say which is the best."""
    store = folder_of_resolutions(command.settings, resolutions, command.run)
    runs = runs_at(command.settings, resolutions, store, command.pretrained, command.from_)
    if command.dry_run:
        plan_each(runs, console, not command.skip_forecast, command.verbose)
        return

    def run_one(at: RunAt) -> None:
        own = replace(command, settings=at.settings, run=at.store.address)
        run_command(replace(own, pretrained=at.pretrained, from_=at.warm_start), console)

    do_each(runs, run_one, console, command.verbose)
    found = compare_resolutions({each.resolution: each.store for each in runs})
    write_resolutions_page(store, found, console.print)
    print_resolutions(store, found, console)


def run_command(command: Command, console: Console) -> None:
    """Plan a run, do its stages, and report; a run that is finished only reports."""
    asked = command.settings
    store = run_folder(asked, command.run)
    recorded = recorded_run(store, asked)
    settings = settings_of(recorded, asked)
    if recorded and recorded["finished"] and not command.dry_run:
        for line in lost_for_good(store, settings):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        lost = missing(store, settings)
        if not lost:
            print_report(store, console)
            return
        console.print(warning_of_loss(lost), markup=False, highlight=False, soft_wrap=True)
    if not command.dry_run:
        outlive_output()
    with planned(
        asked,
        store,
        console,
        pretrained=command.pretrained,
        warm_start=command.from_,
        track=command.track,
        probing=not command.skip_forecast and (command.dry_run or not recorded),
        verbose=command.verbose,
    ) as run:
        if command.dry_run:
            return
        with reporting(store, METHODS, run.stages.print), begun(run):
            train_teacher(run)  # if it is asked for by name
            supernet = pretrain(run)  # steps on Ray actors; what learns is the method's
            scores = score(run, supernet)  # read off the batch norms, or by trials
            scores = learn(run, scores)  # from short trainings of a few networks
            winners = search(run, scores)  # evolution or another strategy, within the limits
            retrain(run, winners)  # from scratch or from the start, as Tune trials
            train_rivals(run)  # what people would take instead
            measure_times(store, run.plan.space, run.plan.facts)  # of an image, all in turn
            if command.export:
                export(run)
            end(run)
    print_report(store, console)


def export(run: Run) -> None:
    """Write each trained network as a folder that needs no raynas."""
    with run.spending("export"):
        settings = run.settings.export
        export_finished(run.store, run.plan.space, run.dataset, run.stages.print, settings)


if __name__ == "__main__":
    run_script(main)
