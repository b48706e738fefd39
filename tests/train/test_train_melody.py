"""Voices of songs: reading them, learning them, and the model that comes of it."""

import json
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from embedder import CorpusError, EncoderError, MidiError, Notes, read_midi
from embedder.melody import melody_model
from embedder.tokens import to_tokens
from embedder.transformer import NoteTransformer
from embedder.voices import VOICES, surroundings
from tests.support.small_recipes import check_killed_run, recipe_text
from tests.support.songs import REGISTERS, write_song, write_songs
from train.corpus import Corpus
from train.evaluation.melody import assemble, measure, measure_loudness, skyline_scores
from train.loop import load_weights, run
from train.objectives import make_objective
from train.objectives.voices import Voices, _remixed
from train.recipe import Recipe
from train.voices import loudness, prepare_voices, read_voices, voices_of
from ui.cli import app


def recipe_of(steps: int, target: str = "voice", **settings: bool) -> Recipe:
    run, model = (
        {"steps": steps, "learning_rate": 3e-3, "validate_every": 100},
        {"causal": False, "positions": 512},
    )
    settings = {"rows": 4, "length": 64, "target": target, **settings}
    return Recipe.parse(recipe_text("voices", run=run, model=model, **settings))


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"), 24)


@pytest.fixture(scope="module")
def corpus(songs: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return prepare_voices(songs, tmp_path_factory.mktemp("voices"))


def test_every_note_gets_the_voice_of_its_track(songs: Path, corpus: Corpus) -> None:
    notes, voices = read_voices(songs / "003" / "003.mid")
    assert notes == read_midi(songs / "003" / "003.mid")
    low = {name: REGISTERS[name.upper()] - 10 for name in VOICES}
    assert (notes.pitch[voices == VOICES.index("piano")] < low["melody"]).all()
    assert (notes.pitch[voices == VOICES.index("bridge")] >= low["bridge"]).all()
    assert [int((voices == number).sum()) for number in range(3)] == [36, 12, 288]
    of_corpus = voices_of(corpus)[corpus.offsets[3] : corpus.offsets[4]]
    assert np.array_equal(of_corpus, voices)


def test_what_names_no_voices_is_refused(songs: Path, corpus: Corpus, tmp_path: Path) -> None:
    odd = mido.MidiFile(songs / "000" / "000.mid")
    odd.tracks[1].name = "violin"
    odd.save(tmp_path / "odd.mid")
    with pytest.raises(MidiError, match="violin"):
        read_voices(tmp_path / "odd.mid")
    with pytest.raises(CorpusError, match="POP909"):
        prepare_voices(tmp_path, tmp_path / "corpus")
    damaged = tmp_path / "damaged"
    prepare_voices(songs, damaged)
    np.save(damaged / "voice.npy", np.zeros(3, np.uint8))
    with pytest.raises(CorpusError, match="differ in number"):
        voices_of(Corpus(damaged))
    np.save(damaged / "voice.npy", voices_of(prepare_voices(songs, tmp_path / "whole")) + np.uint8(7))
    with pytest.raises(CorpusError, match="names other voices"):
        voices_of(Corpus(damaged))
    (damaged / "voice.npy").unlink()
    with pytest.raises(CorpusError, match="names no voices"):
        make_objective("voices", Corpus(damaged), "train", {})


def test_a_run_learns_voices_and_becomes_a_model(corpus: Corpus, tmp_path: Path, songs: Path) -> None:
    torch.set_num_threads(1)
    recipe = recipe_of(60)
    run(recipe, corpus, tmp_path / "run", device="cpu")
    model = assemble(tmp_path / "run", tmp_path / "model")
    scores = measure(model, corpus)
    assert scores.accuracy > 0.95
    assert min(scores.precision, scores.recall, scores.even) > 0.8
    assert len(scores.by_song) == len(corpus.indices("test"))
    assert skyline_scores(corpus)[0] < 0.9  # between the melody's notes the chords are highest
    loaded = melody_model(tmp_path / "model")
    notes = read_midi(songs / "001" / "001.mid")
    assert np.allclose(loaded.probabilities(notes), model.probabilities(notes), atol=0.02)
    assert (tmp_path / "model" / "MODEL_CARD.md").read_text().startswith("# midikin-melody")
    (tmp_path / "model" / "melody.json").write_text("{}")
    melody_model.cache_clear()
    with pytest.raises(EncoderError, match="names voices that"):
        melody_model(tmp_path / "model")
    with pytest.raises(CorpusError, match="no finished run"):
        assemble(tmp_path, tmp_path / "other")


def test_a_run_goes_on_from_a_melody_model(corpus: Corpus, tmp_path: Path) -> None:
    recipe = recipe_of(2)
    run(recipe, corpus, tmp_path / "run", device="cpu")
    assemble(tmp_path / "run", tmp_path / "model")
    model = NoteTransformer(recipe.model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    load_weights(model, tmp_path / "model" / "model.safetensors", to_finetune=True)
    of_run, now = load_file(tmp_path / "run" / "encoder" / "model.safetensors"), model.state_dict()
    read = [name for name in now if name.startswith(("embeddings.", "blocks.", "norm."))]
    assert all(torch.allclose(now[name], of_run[name], atol=2e-3) for name in read)
    assert all(torch.equal(now[name], before[name]) for name in now.keys() - set(read))
    wider = NoteTransformer(replace(recipe.model, width=2 * recipe.model.width))
    with pytest.raises(CorpusError, match="does not hold weights of this model"):
        load_weights(wider, tmp_path / "model" / "model.safetensors", to_finetune=True)


@pytest.mark.parametrize("target", ["voice", "velocity"])
def test_a_killed_run_continues_to_the_same_weights(corpus: Corpus, tmp_path: Path, target: str) -> None:
    weights = ("model.safetensors", "objective.safetensors")
    check_killed_run(recipe_of(5, target), corpus, tmp_path, at=3, weights=weights)


def test_masks_and_alterations_are_off_when_measured(corpus: Corpus) -> None:
    learning = make_objective("voices", corpus, "train", {"rows": 4, "length": 64})
    measured = make_objective("voices", corpus, "test", {"rows": 4, "length": 64})
    drawn = [o.batch(np.random.default_rng(0))["masked"].any() for o in (learning, measured)]
    assert [bool(one) for one in drawn] == [True, False]
    batch = measured.batch(np.random.default_rng(1))
    known = {tuple(row) for row in measured.tokens[:, 1:].tolist()}  # type: ignore[attr-defined]
    shown = batch["tokens"][:, :, 1:].reshape(-1, 3)[(batch["classes"] != -100).flatten()]
    assert {tuple(row) for row in shown.tolist()} <= known


def test_a_remixed_slice_keeps_the_voice_of_every_note() -> None:
    rng = np.random.default_rng(2)
    count = 120
    voices = rng.integers(0, 3, count)
    notes = Notes(
        np.sort(rng.integers(0, 60, count)) / 4,
        rng.uniform(0.1, 1, count),
        36 + 12 * voices + rng.permutation(count) % 12,
        np.full(count, 64),
    )
    voices = (notes.pitch - 36) // 12
    shown = surroundings(notes)
    shown[:, 0] = np.arange(count)  # names each note
    changes = set()
    for seed in range(40):
        tokens, numbers, of = _remixed(notes, shown, voices.astype(np.int64), np.random.default_rng(seed))
        was = numbers[:, 0].astype(int)
        assert len(tokens) == len(numbers) == len(of)
        assert (of == voices[was]).all()
        moved = tokens[:, 1].astype(int) - to_tokens(notes)[was, 1]
        assert len(np.unique(moved[moved != 0])) <= 1
        assert len(np.unique(of[moved != 0])) <= 1
        left_out = set(range(3)) - set(of.tolist())
        changes.add("left out" if left_out else f"moved {moved[moved != 0][:1]}")
    assert {"left out", "moved [12]", "moved [-12]", "moved []"} <= changes
    with pytest.raises(CorpusError, match="remix needs voices"):
        Voices(Corpus.__new__(Corpus), "train", target="velocity", remix=0.5)


def test_velocities_are_not_shown_where_they_are_asked_for(corpus: Corpus) -> None:
    objective = make_objective("voices", corpus, "train", {"rows": 4, "length": 64, "target": "velocity"})
    batch = objective.batch(np.random.default_rng(0))
    assert not batch["tokens"][..., 3].any()
    assert loudness(np.array([1, 31, 32, 47, 64, 80, 95, 96, 127])).tolist() == [0, 0, 1, 1, 3, 4, 4, 5, 5]
    with pytest.raises(CorpusError, match="target is"):
        make_objective("voices", corpus, "train", {"target": "colour"})


def test_the_voice_of_every_note_is_told_where_loudness_is_asked_for(corpus: Corpus) -> None:
    asked = {"rows": 4, "length": 64, "masked": 0.0}
    voice = make_objective("voices", corpus, "validation", asked)
    loud = make_objective("voices", corpus, "validation", {**asked, "target": "velocity", "told": True})
    by_voice, told = (made.batch(np.random.default_rng(0)) for made in (voice, loud))
    assert told["numbers"].shape[-1] == by_voice["numbers"].shape[-1] + len(VOICES)
    there = by_voice["classes"] >= 0
    assert torch.equal(told["numbers"][there][:, -len(VOICES) :].argmax(1), by_voice["classes"][there])
    with pytest.raises(CorpusError, match="gives voices away"):
        make_objective("voices", corpus, "train", {"told": True})


def test_the_command_makes_a_corpus_and_measures_a_run(songs: Path, corpus: Corpus, tmp_path: Path) -> None:
    run(recipe_of(2), corpus, tmp_path / "run", device="cpu")
    arguments = ["train", "voices", str(songs), "--out", str(corpus.folder), "--run", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["files"] == 24
    assert 0 < found["model"]["accuracy"] < 1
    assert (tmp_path / "run" / "model" / "melody.json").exists()
    plain = CliRunner().invoke(app, arguments)
    assert "skyline" in plain.stdout


def test_runs_that_learned_loudness_are_measured_by_loudness(
    songs: Path, corpus: Corpus, tmp_path: Path
) -> None:
    command = ["train", "voices", str(songs), "--out", str(corpus.folder)]
    plain, told, melody = (
        ("--run", str(tmp_path / "plain")),
        ("--run", str(tmp_path / "told")),
        tmp_path / "m",
    )
    run(recipe_of(60, "velocity"), corpus, plain[1], device="cpu")
    run(recipe_of(60, "velocity", told=True), corpus, told[1], device="cpu")
    truth = np.concatenate([loudness(corpus.notes(i).velocity) for i in corpus.indices("test")])
    commonest = np.bincount(truth).max() / len(truth)
    for runs in (plain, told, (*plain, *told)):
        found = CliRunner().invoke(app, [*command, *runs, "--json"])
        assert found.exit_code == 0, found.stderr
        assert json.loads(found.stdout)["loudness"] >= 0.9 * commonest
    assert "degree of loudness" in CliRunner().invoke(app, [*command, *plain]).stdout
    with pytest.raises(CorpusError, match="no finished run"):
        assemble(plain[1], tmp_path / "model")
    run(recipe_of(2), corpus, melody, device="cpu")
    mixed = CliRunner().invoke(app, [*command, *plain, "--run", str(melody)])
    assert mixed.exit_code == 1
    assert "no finished run" in mixed.stderr
    twice = CliRunner().invoke(app, [*command, "--run", str(melody), "--run", str(melody)])
    assert "give one --run" in twice.stderr
    made = CliRunner().invoke(app, [*command, *plain, "--model", str(tmp_path / "made")])
    assert "--model makes a melody model" in made.stderr


@pytest.mark.parametrize("harm", ["nan", "length", "list", "kind"])
def test_a_damaged_run_is_said_to_be_none(corpus: Corpus, tmp_path: Path, harm: str) -> None:
    made = tmp_path / "run"
    run(recipe_of(1, "velocity"), corpus, made, device="cpu")
    assert 0 <= measure_loudness([made], corpus) <= 1
    weights, recipe = made / "encoder" / "objective.safetensors", made / "recipe.toml"
    text = recipe.read_text()
    if harm == "nan":
        save_file({name: tensor * np.nan for name, tensor in load_file(weights).items()}, weights)
    elif harm == "length":
        recipe.write_text(text.replace("length = 64", "length = 0"))
    elif harm == "kind":
        recipe.write_text(text.replace("length = 64", 'length = "64"'))
    else:
        (made / "encoder" / "model.json").write_text("[]")
    with pytest.raises(CorpusError):
        measure_loudness([made], corpus)


def test_other_takes_are_learned_from_and_never_measured(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 24)
    for seed in range(24):
        write_song(songs / f"{seed:03d}" / "versions" / "take.mid", seed + 100)
    alone = prepare_voices(songs, tmp_path / "alone")
    made = prepare_voices(songs, tmp_path / "made", takes=True)
    learned = len(alone.indices("train"))
    assert len(made.indices("train")) == 2 * learned
    assert [len(made.indices(s)) for s in ("validation", "test")] == [
        len(alone.indices(s)) for s in ("validation", "test")
    ]
    works = [piece.work for piece in made.pieces]
    assert sorted(works[len(alone) :]) == sorted(works[i] for i in alone.indices("train"))


def test_a_file_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    write_song(tmp_path / "one" / "one.mid", 1)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "two.mid").write_bytes(b"no music")
    made = prepare_voices(tmp_path, tmp_path / "corpus")
    assert made.counts == {"files": 2, "left_out": 1}
    assert len(made) == 1


def test_a_tempo_that_is_stated_twice_at_a_tick_changes_no_voice(tmp_path: Path) -> None:
    write_song(tmp_path / "one.mid", 1)
    notes, voices = read_voices(tmp_path / "one.mid")
    file = mido.MidiFile(tmp_path / "one.mid")
    file.tracks[0].append(mido.MetaMessage("set_tempo", tempo=400_000))
    file.tracks[0].append(mido.MetaMessage("set_tempo", tempo=500_000 + 20_000))
    file.tracks[0][-1].time = file.tracks[0][-2].time = 0
    file.tracks[0][0].tempo = 500_000
    file.save(tmp_path / "two.mid")
    slow, slow_voices = read_voices(tmp_path / "two.mid")
    assert np.array_equal(slow.pitch, notes.pitch)
    assert np.array_equal(slow_voices, voices)


def test_on_sixteenths_the_notes_of_one_onset_stand_by_voice_or_by_pitch(tmp_path: Path) -> None:
    file = mido.MidiFile(ticks_per_beat=480)
    played = {
        "MELODY": [(41, 161, 60), (281, 330, 62)],  # the second is too short
        "BRIDGE": [(35, 161, 90)],
        "PIANO": [(40, 150, 48), (40, 400, 72), (160, 280, 50)],
    }
    for name, notes in played.items():
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        events = [(start, "note_on", pitch) for start, _, pitch in notes]
        events += [(end, "note_off", pitch) for _, end, pitch in notes]
        now = 0
        for tick, kind, pitch in sorted(events):
            track.append(mido.Message(kind, note=pitch, velocity=64, time=tick - now))
            now = tick
        file.tracks.append(track)
    file.save(tmp_path / "song.mid")
    by_voice, voices = read_voices(tmp_path / "song.mid", "voice")
    assert by_voice.pitch.tolist() == [60, 90, 48, 72, 50]
    assert voices.tolist() == [0, 1, 2, 2, 2]
    by_pitch, voices = read_voices(tmp_path / "song.mid", "pitch")
    assert by_pitch.pitch.tolist() == [48, 60, 72, 90, 50]
    assert voices.tolist() == [2, 0, 2, 1, 2]
    sixteenth = 0.125
    assert np.allclose(np.diff(by_pitch.onset), [0, 0, 0, sixteenth], atol=3e-4)
    assert np.allclose(by_pitch.duration / sixteenth, [1, 1, 3, 1, 1], atol=1e-3)


def test_a_corpus_made_otherwise_is_not_taken_for_the_one_asked_for(songs: Path, tmp_path: Path) -> None:
    arguments = ["train", "voices", str(songs), "--out", str(tmp_path / "corpus")]
    made = CliRunner().invoke(app, [*arguments, "--sixteenths", "voice", "--json"])
    assert made.exit_code == 0, made.stderr
    assert json.loads(made.stdout)["sixteenths"] == "voice"
    assert CliRunner().invoke(app, arguments).exit_code == 0
    other = CliRunner().invoke(app, [*arguments, "--sixteenths", "pitch"])
    assert other.exit_code != 0
    assert "made with other options" in other.stderr
