"""The command line of `python -m jobs.evaluate mess`."""

from jsonargparse import ArgumentParser
from rich.console import Console

from jobs.command import parse_arguments
from jobs.evaluate_compare import complete_results, main_miou
from jobs.help import JobHelp
from pipeline.errors import UserError


def average_mess(arguments: list[str]) -> None:
    """Print means of evaluations over the domains and the sets of MESS.

    Raises:
        SystemExit, UserError, OSError: as the jobs' other commands.
    """
    parser = ArgumentParser(
        prog="python -m jobs.evaluate mess",
        description="Means of evaluations over the domains and the sets of MESS.",
        formatter_class=JobHelp,
    )
    parser.add_argument("evaluations", nargs="+", metavar="DIRECTORY", help="one for each of its sets")
    directories = parse_arguments(parser, arguments).evaluations
    from pipeline.evaluation.mess_means import mess_table

    mious: dict[str, float] = {}
    for directory, result in zip(directories, complete_results(directories), strict=True):
        kind = result["dataset"]["name"].partition("/")[0]
        name = kind.removeprefix("mess_")
        if name == kind:
            raise UserError(f"{directory} evaluates {kind}, which is no set of MESS")
        if name in mious:
            raise UserError(f"{directory} evaluates {kind}, as another of these directories does")
        mious[name] = main_miou(directory, result, "miou_gt_or_pred")
    Console().print(mess_table(mious))
