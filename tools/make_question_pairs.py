#!/usr/bin/env python3
"""Makes pairs of questions: of some the second asks the same as the first, of the others nearly the same, and something else.

Usage: make_question_pairs.py [--seed N] >PAIRS.tsv

Each line is `split kind same first second`, with tabs: `same` is 1 where one answer serves both. Pairs of split `tune` are there to
write the rules of reuse on, those of split `report` to say how good they are: no two of different splits are about the same thing, and
the wordings of `report` are drawn from more frames than those of `tune`. `medallion eval --pairs` reads it.
"""
import argparse
import random

# Names of different kinds, in halves: the first of each list are for `tune`, the others for `report`.
WORKS = ["Golden Gate Bridge", "Brooklyn Bridge", "Eiffel Tower", "Sydney Opera House", "Panama Canal", "Suez Canal", "Hoover Dam",
         "Tower Bridge", "Berlin Wall", "Gotthard Tunnel", "Channel Tunnel", "Forth Bridge", "Rialto Bridge", "Aswan Dam",
         "Burj Khalifa", "Charles Bridge", "Kiel Canal", "Corinth Canal", "Akashi Bridge", "Sears Tower"]
PEOPLE = ["Marie Curie", "Ada Lovelace", "Alan Turing", "Grace Hopper", "Niels Bohr", "Lise Meitner", "Emmy Noether", "Isaac Newton",
          "Max Planck", "Rosalind Franklin", "Edwin Hubble", "Vera Rubin", "Carl Sagan", "Enrico Fermi", "Paul Dirac", "Otto Hahn",
          "Barbara McClintock", "Chien Wu", "Sofia Kovalevskaya", "Henri Poincare"]
PLACES = ["France", "Norway", "Chile", "Kenya", "Vietnam", "Poland", "Canada", "Peru", "Egypt", "Japan", "Ghana", "Iceland",
          "Portugal", "Finland", "Morocco", "Bolivia", "Estonia", "Nepal", "Jordan", "Uruguay"]
TEAMS = ["Arsenal", "Chelsea", "Ajax", "Benfica", "Juventus", "Valencia", "Porto", "Celtic", "Lazio", "Sevilla", "Lyon", "Bayern",
         "Rangers", "Monaco", "Torino", "Everton", "Napoli", "Lille", "Galatasaray", "Feyenoord"]
VERBS = [("repainted", "repaint"), ("designed", "design"), ("opened", "open"), ("built", "build"), ("closed", "close"),
         ("restored", "restore"), ("inspected", "inspect"), ("financed", "finance")]
OTHER_VERB = {"repainted": "rebuilt", "designed": "destroyed", "opened": "closed", "built": "demolished", "closed": "opened",
              "restored": "damaged", "inspected": "photographed", "financed": "insured"}
FACTS = [("capital", "largest city"), ("population", "area"), ("president", "prime minister"), ("currency", "flag"),
         ("highest mountain", "longest river"), ("national anthem", "national animal"), ("oldest university", "newest university")]


def choose(random_, items, but=None):
    return random_.choice([item for item in items if item != but])


def same(frames, random_, work, person, place, teams, verb):
    """Pairs of questions that ask the same."""
    past, plain = verb
    fact, _ = random_.choice(FACTS)
    first, second = teams
    year, number = random_.randint(1900, 2020), random_.randint(3, 19)
    words = ["three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    known = [
        ("passive", f"Who {past} the {work}?", f"By whom was the {work} {past}?"),
        ("passive", f"Who {past} the {work}?", f"Who was the {work} {past} by?"),
        ("person", f"Who {past} the {work}?", f"Which person {past} the {work}?"),
        ("opening", f"Who {past} the {work}?", f"Can you tell me who {past} the {work}?"),
        ("opening", f"When was the {work} {past}?", f"Do you know when the {work} was {past}?"),
        ("case", f"When was the {work} {past}?", f"when was the {work.lower()} {past}"),
        ("year", f"When was the {work} {past}?", f"In what year was the {work} {past}?"),
        ("year", f"In which year was {person} born?", f"When was {person} born?"),
        ("genitive", f"What is the {fact} of {place}?", f"What is {place}'s {fact}?"),
        ("genitive", f"Tell me, what is {place}'s {fact}?", f"What is the {fact} of {place}?"),
        ("reason", f"Why was the {work} {past}?", f"For what reason was the {work} {past}?"),
        ("place", f"Where was {person} born?", f"In which place was {person} born?"),
        ("count", f"How many people live in {place}?", f"What number of people live in {place}?"),
        ("number", f"How many goals did {first} score in {words[number % 10]} matches?",
         f"How many goals did {first} score in {number % 10 + 3} matches?"),
        ("date", f"What happened at the {work} on 12 March {year}?", f"What happened at the {work} on March 12, {year}?"),
        ("date", f"What happened at the {work} on {year}-03-12?", f"What happened at the {work} on 12 March {year}?"),
        ("which", f"Which documents did {person} edit?", f"What documents did {person} edit?"),
        ("synonym", f"Who {past} the article about the {work}?", f"Who {past} the page about the {work}?"),
        ("synonym", f"When did the construction of the {work} begin?", f"When did the construction of the {work} start?"),
        ("polite", f"How long is the {work}?", f"Please tell me how long the {work} is."),
        ("tense", f"Who edits the page about {place}?", f"Who is it that edits the page about {place}?"),
        ("spacing", f"Who  beat {first} in {year}?", f"who beat {first} in {year} ?"),
        ("manner", f"How was the {work} {past}?", f"In what way was the {work} {past}?"),
        # Beyond what rules of this kind see: an honest set has them, too.
        ("far", f"Who {past} the {work}?", f"Give me the name of whoever {past} the {work}."),
        ("far", f"How tall is the {work}?", f"What is the height of the {work}?"),
        ("far", f"How many people live in {place}?", f"What is the population of {place}?"),
        ("far", f"When was the {work} {past}?", f"How long ago was it that somebody {past} the {work}?"),
    ]
    return random_.sample(known, frames)


def other(frames, random_, work, person, place, teams, verb, works, people, places):
    """Pairs of questions that need different answers."""
    past, plain = verb
    fact, near = random_.choice(FACTS)
    first, second = teams
    year, number = random_.randint(1900, 2018), random_.randint(3, 90)
    known = [
        ("negation", f"Did {person} {plain} the {work}?", f"Did {person} not {plain} the {work}?"),
        ("negation", f"Which countries joined {place}?", f"Which countries never joined {place}?"),
        ("negation", f"Who travelled to {place} with {person}?", f"Who travelled to {place} without {person}?"),
        ("reversal", f"Who did {first} beat in {year}?", f"Who beat {first} in {year}?"),
        ("reversal", f"Did {first} beat {second}?", f"Did {second} beat {first}?"),
        ("reversal", f"How long is the flight from {place} to {choose(random_, places, place)}?", None),
        ("reversal", f"When did {person} write to {choose(random_, people, person)}?", None),
        ("reversal", f"Is the {work} older than the {choose(random_, works, work)}?", None),
        ("reversal", f"Who taught {person}?", f"Who did {person} teach?"),
        ("number", f"What happened after the {number} accidents at the {work}?",
         f"What happened after the {number + 1} accidents at the {work}?"),
        ("number", f"Which bridges are longer than {number} km?", f"Which bridges are shorter than {number} km?"),
        ("number", f"Which bridges cost more than {number} million?", f"Which bridges cost more than {number}0 million?"),
        ("year", f"Who {past} the {work} in {year}?", f"Who {past} the {work} in {year + 1}?"),
        ("date", f"What happened at the {work} on 12 March {year}?", f"What happened at the {work} on 13 March {year}?"),
        ("date", f"What happened at the {work} on 12 March {year}?", f"What happened at the {work} on 12 May {year}?"),
        ("date", f"What was written before {year}?", f"What was written after {year}?"),
        ("unit", f"Is the {work} {number} km long?", f"Is the {work} {number} m long?"),
        ("unit", f"How many days did the work at the {work} take?", f"How many months did the work at the {work} take?"),
        ("name", f"Who {past} the {work}?", f"Who {past} the {choose(random_, works, work)}?"),
        ("name", f"When was {person} born?", f"When was {choose(random_, people, person)} born?"),
        ("name", f"What is the {fact} of {place}?", f"What is the {fact} of {choose(random_, places, place)}?"),
        ("name", f"Who met {person} in {place}?", f"Who met {person} in {choose(random_, places, place)}?"),
        ("opposite", f"Who {past} the {work}?", f"Who {OTHER_VERB[past]} the {work}?"),
        ("opposite", f"When was {person} born?", f"When did {person} die?"),
        ("opposite", f"Who voted for {person}?", f"Who voted against {person}?"),
        ("fact", f"What is the {fact} of {place}?", f"What is the {near} of {place}?"),
        ("kind", f"Who {past} the {work}?", f"When was the {work} {past}?"),
        ("kind", f"Where was {person} born?", f"When was {person} born?"),
        ("kind", f"Why was the {work} {past}?", f"How was the {work} {past}?"),
        ("tense", f"Who is the president of {place}?", f"Who was the president of {place}?"),
        ("tense", f"Who edits the page about {place}?", f"Who edited the page about {place}?"),
        ("tense", f"When will the {work} be {past}?", f"When was the {work} {past}?"),
        ("restriction", f"Who is the mayor of {place}?", f"Who is the former mayor of {place}?"),
        ("restriction", f"Did {first} win in {year}?", f"Did only {first} win in {year}?"),
        ("quantity", f"Did all players of {first} score?", f"Did some players of {first} score?"),
        ("quantity", f"Which city is the largest in {place}?", f"Which cities are the largest in {place}?"),
        ("superlative", f"What is the first bridge in {place}?", f"What is the last bridge in {place}?"),
        ("superlative", f"Which river is the longest in {place}?", f"Which river is the shortest in {place}?"),
        ("lookalike", f"Who found the {work}?", f"Who founded the {work}?"),
        ("whose", f"Who is the teacher of {person}?", f"Who is {person} the teacher of?"),
        ("whose", f"Who is the sister of {person}?", f"Whose sister is {person}?"),
        ("part", f"What is the capital of {place}?", f"What is the capital of the north of {place}?"),
        ("place", f"What happened in the {work}?", f"What happened near the {work}?"),
        ("pair", f"What do {first} and {second} have?", f"What does {first} or {second} have?"),
    ]
    pairs = []
    for kind, one, two in random_.sample(known, frames):
        if two is None:
            two = swapped(one, places + people + works)
        pairs.append((kind, one, two))
    return pairs


def swapped(text, names):
    """The text with the two names that it holds the other way round."""
    found = sorted((name for name in names if name in text), key=lambda name: (text.index(name), -len(name)))
    one, two = found[0], [name for name in found if name != found[0]][0]
    return text.replace(one, "\0").replace(two, one).replace("\0", two)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    random_ = random.Random(parser.parse_args().seed)
    seen = set()
    for split, part in (("tune", slice(0, 8)), ("report", slice(8, 20))):
        works, people, places, teams = WORKS[part], PEOPLE[part], PLACES[part], TEAMS[part]
        rounds = 60 if split == "tune" else 90
        for _ in range(rounds):
            work, person, place = random_.choice(works), random_.choice(people), random_.choice(places)
            two, verb = random_.sample(teams, 2), random_.choice(VERBS)
            made = [(kind, 1, one, two_) for kind, one, two_ in same(6, random_, work, person, place, two, verb)]
            made += [(kind, 0, one, two_) for kind, one, two_ in other(
                12, random_, work, person, place, two, verb, works, people, places)]
            for kind, is_same, one, two_ in made:
                if (one, two_) not in seen:
                    seen.add((one, two_))
                    print(split, kind, is_same, one, two_, sep="\t")


if __name__ == "__main__":
    main()
