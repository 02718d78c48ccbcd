"""Makes the tables of README and papers from their records, or trains anew and compares.

    python experiments/reproduce.py --list
    python experiments/reproduce.py --table=rand_hie --out=paper     # CSV, LaTeX, Markdown, figure
    python experiments/reproduce.py --table=rand_hie --retrain       # exit code 1 if it differs
    python experiments/reproduce.py --check                          # both READMEs against them

--retrain runs the command that the record names, in <run_dir>/<table>, which goes on where it was
stopped if that script does, and writes what it measured as above. --check compares what stands in
README.md and in results/README.md between <!-- table: NAME --> and <!-- end -->; --write puts it
there. Tables: experiments/_paper_tables.py.
"""

from pathlib import Path

from _common import FLAGS, run_script
from _paper_formats import fill_blocks, find_drift, read_page, write_table
from _paper_tables import TABLES
from _papers import read_record
from _retrain import HERE, RECORD, print_comparison, retrain
from absl import flags

from synthdiff._files import write_atomically
from synthdiff._validate import input_error, one_of

MODES = {
    "list": "only print the tables, with the commands that measured them",
    "check": "only compare the pages with the records",
    "write": "only write the tables between the markers of the pages",
    "retrain": "measure anew and compare; takes as long as the command of the record",
}
PAGES = (HERE.parent / "README.md", HERE / "results" / "README.md")


def define_flags() -> None:
    FLAGS.set_default("run_dir", "runs/reproduce")
    flags.DEFINE_list("table", None, f"tables; default all that have a record: {', '.join(TABLES)}")
    flags.DEFINE_string("out", "runs/tables", "folder of the tables and figures")
    flags.DEFINE_list("pages", list(map(str, PAGES)), "files of --check and --write")
    for name, about in MODES.items():
        flags.DEFINE_bool(name, False, about)


def find_pages() -> list[Path]:
    """The files of --pages; raises InputError where flags contradict or would change nothing."""
    chosen = [name for name in MODES if FLAGS[name].value]
    if len(chosen) > 1:
        names = " ".join(f"--{name}" for name in chosen)
        raise input_error(names, "are different things to do", "give one of them")
    on_pages = chosen in (["check"], ["write"])
    if on_pages and FLAGS.table:
        raise input_error("--table", "whole pages are compared and written", "leave it out")
    if FLAGS["pages"].present and not on_pages:
        raise input_error("--pages", "is for --check and --write", "leave it out")
    pages = [Path(name) for name in FLAGS.pages if name]
    if not pages:
        raise input_error("--pages=", "names no file", "leave it out, or name Markdown files")
    return pages


def reproduce(run_dir: Path) -> None:
    results, pages = HERE / "results", find_pages()
    known = [name for name, table in TABLES.items() if (results / table.record).exists()]
    if not known:
        raise input_error(str(results), "holds no record", "work in a checkout: wheels have none")
    for name in FLAGS.table or ():
        one_of(TABLES, table=name)
    if FLAGS.list:
        for name in FLAGS.table or TABLES:
            table = TABLES[name]
            command = read_record(table, results)["command"] if name in known else "not measured"
            print(f"{name}: {table.title}\n    {command}")
    elif FLAGS.write:
        for page in pages:
            text = fill_blocks(read_page(page), TABLES, results, page)
            write_atomically(page, text.encode())
    elif FLAGS.check:
        for page in pages:
            if drift := find_drift(page, TABLES, results):
                raise SystemExit(f"{drift}\nerror: {page} differs from its records. Fix: --write")
            print(f"{page}: tables are as the records give them")
    elif FLAGS.retrain:
        if not FLAGS.table:
            raise input_error("--retrain", "names no table", "add --table=NAME")
        folders = {name: run_dir.absolute() / name for name in FLAGS.table}
        rows = [r for k, folder in folders.items() for r in retrain(TABLES[k], results, folder)]
        for k, folder in folders.items():
            write_table(k, TABLES[k]._replace(record=RECORD), folder, Path(FLAGS.out))
        if not rows:
            raise SystemExit("measured; nothing to compare, as times hang on the machine")
        print_comparison(rows)
        raise SystemExit(not all(row["within"] for row in rows))
    else:
        for name in FLAGS.table or known:
            write_table(name, TABLES[name], results, Path(FLAGS.out))


if __name__ == "__main__":
    run_script(reproduce, define_flags)
