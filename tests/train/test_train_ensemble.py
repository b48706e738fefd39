"""Corpora with parts, their alterations, and runs in stages."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from embedder.ensemble.front import COLUMNS
from embedder.ensemble.model import EnsembleTransformer
from embedder.errors import CorpusError
from tests.bands import band_file
from train.ensemble.contrast import Contrast, Memory, Settings, nt_xent
from train.ensemble.corpus import EnsembleCorpus
from train.ensemble.measures import Measures, features_and_grams
from train.ensemble.prepare import prepare, write_splits
from train.ensemble.reading import DRUMS
from train.ensemble.recipe import StagedRecipe
from train.ensemble.staged import run_stages
from train.ensemble.views import Chain, alter, cut

STILL = Chain(
    one_part=0, drums_alone=0, no_drums=0, fewer_parts=0, instruments=0, piano=0, tempo=0, jitter=0,
    duration=0, flat=0, dropout=0, octaves=0, hand=0, quantise=0, hide=0,
)  # fmt: skip
RECIPE = """
[run]
precision = "float32"
log_every = 1
measure_notes = {measure}
[model]
note_width = 16
patterns = 24
width = 32
layers = 1
heads = 2
hidden = 64
projection = 16
fused = 16
inner = 16
[[stage]]
name = "slices"
notes = 6000
learning_rate = 1e-3
warmup = 2
[stage.settings]
notes = 1024
shortest = 32
longest = 64
memory = 0
fused = 0.5
[[stage]]
name = "pieces"
notes = 6000
learning_rate = 1e-3
[stage.settings]
notes = 1024
shortest = 32
longest = 64
memory = 32
fused = 1.0
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> EnsembleCorpus:
    folder = tmp_path_factory.mktemp("ensemble")
    (folder / "bands").mkdir()
    for seed in range(9):
        (folder / "bands" / f"band{seed:03d}.mid").write_bytes(band_file(seed, 12, type_=seed % 2))
    (folder / "bands" / "copy.mid").write_bytes((folder / "bands" / "band000.mid").read_bytes())
    given = folder / "given.csv"
    given.write_text("set,file,split\nbands,band001.mid,test\nbands,band002.mid,validation\n")
    with open(folder / "bands" / "labels.csv", "w", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["file", "song", "kind"])
        for number in range(9):
            song = "twice" if number in (3, 4) else f"song{number}"
            rows.writerow([f"band{number:03d}.mid", song, "score"])
    return prepare([folder / "bands"], folder / "corpus", given, workers=1)


class TestCorpus:
    def test_drums_and_programs_are_kept(self, corpus: EnsembleCorpus) -> None:
        notes = corpus.parted(0)
        assert {0, 33, 48, 73, DRUMS} <= set(notes.instrument.tolist())
        assert len(np.unique(notes.part)) >= 6
        assert (np.diff(notes.onset.astype(np.int64)) >= 0).all()

    def test_copies_are_removed_and_given_splits_kept(self, corpus: EnsembleCorpus) -> None:
        files = {piece.labels["file"]: piece for piece in corpus.pieces}
        assert len(files) == 9
        assert corpus.counts["removed"]["same-notes"] == 1
        assert (files["band001.mid"].split, files["band002.mid"].split) == ("test", "validation")

    def test_songs_with_one_label_are_one_work(self, corpus: EnsembleCorpus) -> None:
        work = {piece.labels["file"]: piece.work for piece in corpus.pieces}
        assert work["band003.mid"] == work["band004.mid"]
        assert len(set(work.values())) == 8

    def test_the_split_file_names_what_is_held_apart(self, corpus: EnsembleCorpus, tmp_path: Path) -> None:
        write_splits(corpus, tmp_path / "splits.csv")
        with open(tmp_path / "splits.csv", newline="") as lines:
            rows = {(row["set"], row["file"]): row["split"] for row in csv.DictReader(lines)}
        assert rows["bands", "band001.mid"] == "test"
        assert all(split != "train" for split in rows.values())

    def test_a_folder_without_parts_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match="not a prepared corpus"):
            EnsembleCorpus(tmp_path)


class TestViews:
    def rows(self, corpus: EnsembleCorpus, chain: Chain) -> np.ndarray:
        rng = np.random.default_rng(0)
        starts = [(int(corpus.offsets[i]), int(corpus.offsets[i + 1])) for i in range(4)]
        tokens, _ = alter(cut(corpus, starts, 96, chain, rng), chain, rng, 96)
        return tokens

    @staticmethod
    def column(tokens: np.ndarray, name: str) -> np.ndarray:
        return tokens[..., list(COLUMNS).index(name)]

    def test_without_alterations_rows_are_what_the_front_makes_of_notes(self, corpus: EnsembleCorpus) -> None:
        tokens = self.rows(corpus, STILL)
        assert self.column(tokens, "drum").any()
        assert len(np.unique(self.column(tokens, "voice"))) >= 5

    def test_drums_can_be_left_out(self, corpus: EnsembleCorpus) -> None:
        tokens = self.rows(corpus, replace(STILL, no_drums=1.0))
        assert not self.column(tokens, "drum").any()

    def test_drums_can_be_all_that_is_left(self, corpus: EnsembleCorpus) -> None:
        tokens = self.rows(corpus, replace(STILL, drums_alone=1.0))
        present = self.column(tokens, "duration") > 0
        assert (self.column(tokens, "drum") > 0)[present].all()

    def test_everything_can_become_one_piano(self, corpus: EnsembleCorpus) -> None:
        tokens = self.rows(corpus, replace(STILL, piano=1.0, no_drums=1.0))
        assert set(self.column(tokens, "voice").ravel().tolist()) == {0}
        assert np.array_equal(self.column(tokens, "in_part"), self.column(tokens, "interval"))

    def test_other_instruments_leave_the_notes_alone(self, corpus: EnsembleCorpus) -> None:
        still, other = (self.rows(corpus, replace(STILL, instruments=p)) for p in (0.0, 1.0))
        assert not np.array_equal(self.column(still, "voice"), self.column(other, "voice"))
        assert np.array_equal(self.column(still, "interval"), self.column(other, "interval"))

    def test_unknown_settings_are_named(self) -> None:
        with pytest.raises(CorpusError, match="glitter"):
            Chain.from_dict({"glitter": 1})


class TestContrast:
    def test_versions_and_past_vectors_of_a_work_are_no_negatives(self) -> None:
        unit = torch.nn.functional.normalize(torch.randn(4, 8), dim=1)
        works = torch.tensor([1, 2, 1, 2])
        alone, _ = nt_xent(unit, works, Memory(0, 8), 0.1)
        memory = Memory(4, 8)
        memory.add(unit[:1].repeat(4, 1), torch.full((4,), 1))
        of_one, _ = nt_xent(unit, works, memory, 0.1)
        memory.add(unit[:1].repeat(4, 1), torch.full((4,), 7))
        of_others, _ = nt_xent(unit, works, memory, 0.1)
        assert alone < of_one < of_others

    def test_views_pair_pieces_of_one_work(self, corpus: EnsembleCorpus) -> None:
        made = Contrast(corpus, "train", Settings(notes=512, shortest=32, longest=32, fused=1.0)).batch(
            np.random.default_rng(0)
        )
        half = len(made["works"]) // 2
        assert made["works"][:half].tolist() == made["works"][half:].tolist()
        assert len(set(made["works"][:half].tolist())) == half
        assert made["patterns"].shape[0] == made["numbers"].shape[0] == 2 * half
        assert int(made["view"].max()) == 2 * half - 1

    def test_training_brings_views_of_a_work_together(self, corpus: EnsembleCorpus) -> None:
        recipe = StagedRecipe.parse(RECIPE.format(measure="1e9"))
        torch.manual_seed(0)
        model = EnsembleTransformer(recipe.model)
        settings = replace(recipe.stages[0].settings, next_note=0.0)
        objective = Contrast(corpus, "train", settings, STILL)
        optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
        losses = []
        for step in range(40):
            batch = objective.batch(np.random.default_rng(step))
            loss, _, _ = objective.loss(model, batch, Memory(0, 16), Memory(0, 16))
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss.item())
        assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


class TestMeasures:
    def test_altered_copies_are_found_by_patterns(self, corpus: EnsembleCorpus) -> None:
        measures = Measures(corpus, "train")
        numbers = measures(features_and_grams(measures.pieces)["n-grams"])
        assert numbers["copy, transposed"] == 100
        assert 0 <= numbers["identity"] <= 100

    def test_vectors_that_say_nothing_find_nothing(self, corpus: EnsembleCorpus) -> None:
        numbers = Measures(corpus, "train")(lambda pieces: np.ones((len(pieces), 4), dtype=np.float32) / 2)
        assert numbers["copy, mean"] == 0  # ties count against the system


class TestRuns:
    def test_a_stopped_run_goes_on_as_if_it_had_not_been(
        self, corpus: EnsembleCorpus, tmp_path: Path
    ) -> None:
        recipe = StagedRecipe.parse(RECIPE.format(measure="1e9"))
        quiet = {"device": "cpu", "on_line": lambda line: None}
        assert run_stages(recipe, corpus, tmp_path / "whole", **quiet)  # type: ignore[arg-type]
        stops = 0
        while not run_stages(recipe, corpus, tmp_path / "parts", stopped=lambda: True, **quiet):  # type: ignore[arg-type]
            stops += 1
        assert stops > 5
        one, other = (load_file(tmp_path / n / "checkpoint/weights.safetensors") for n in ("whole", "parts"))
        assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)
        with open(tmp_path / "parts" / "log.csv", newline="") as lines:
            steps = [int(row[0]) for row in csv.reader(lines) if row[1] == "notes"]
        assert steps == list(range(1, len(steps) + 1))
        assert (tmp_path / "parts" / "encoder" / "model.safetensors").exists()

    def test_the_command_survives_being_killed(self, corpus: EnsembleCorpus, tmp_path: Path) -> None:
        recipe = tmp_path / "recipe.toml"
        text = RECIPE.format(measure="1e9").replace("notes = 6000", "notes = 12000")
        recipe.write_text(text.replace("[run]\n", "[run]\ncheckpoint_minutes = 0.0\n"))
        command = [sys.executable, "-m", "train.ensemble", str(recipe), str(corpus.folder)]
        command += [str(tmp_path / "run"), "--threads", "1", "--device", "cpu", "--nice", "0"]
        first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert first.stdout is not None
        for line in first.stdout:
            if "step 5 " in line:
                break
        first.send_signal(signal.SIGKILL)
        first.wait()
        first.stdout.close()
        second = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
        assert "stage slices: 0 of" not in second.stdout
        assert "all stages are done" in second.stdout

    def test_the_command_stops_with_a_checkpoint_when_asked(
        self, corpus: EnsembleCorpus, tmp_path: Path
    ) -> None:
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(RECIPE.format(measure="1e9").replace("notes = 6000", "notes = 1000000"))
        command = [sys.executable, "-m", "train.ensemble", str(recipe), str(corpus.folder)]
        command += [str(tmp_path / "run"), "--threads", "1", "--device", "cpu", "--nice", "0"]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert run.stdout is not None
        for line in run.stdout:
            if "step 2 " in line:
                break
        run.send_signal(signal.SIGTERM)
        rest, _ = run.communicate(timeout=120)
        assert run.returncode == 0
        assert "stopped; the same command goes on" in rest
        assert (tmp_path / "run" / "checkpoint" / "progress.json").exists()

    def test_recipes_that_do_not_fit_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match="stage"):
            StagedRecipe.parse("[run]\nseed = 1\n")
        with pytest.raises(CorpusError, match="speed"):
            StagedRecipe.parse("[[stage]]\nname = 'a'\nnotes = 1\nlearning_rate = 1\nspeed = 3\n")
        with pytest.raises(CorpusError, match=r"cannot be read"):
            StagedRecipe.read(tmp_path / "none.toml")

    def test_the_shipped_recipe_can_be_read(self) -> None:
        recipe = StagedRecipe.read("ensemble")
        assert sum(stage.notes for stage in recipe.stages) >= 300e6
        assert recipe.model.fused
