"""Names of columns that call the rows, or the persons in them, by a number: evidence, but never alone sufficient."""

import re

_NUMBERS = """
id ids nr no num number nummer numero número numéro n° nº № key pk uid uuid guid identifier kennung identifiant
identificador schlüssel lfd seq kennzeichen
"""
_ROWS = """
row rownum rowid record rec zeile datensatz case fall cas caso sample specimen probe visit encounter episode order
accession report befund line entry obs laufende admission stay aufenthalt study studien trial hospital krankenhaus file
dossier barcode index idx code serial
"""
_PERSONS = """
patient patients patienten pat pid patid mrn subject subj subjid person participant proband probanden pseudonym
teilnehmer client customer kunde kunden member user student pupil schüler animal mouse rat tier versuchstier donor
spender ssn ahv nhs paciente paziente usubjid employee mitarbeiter twin family
"""
_NUMBER, _ROW, _PERSON = (frozenset(words.split()) for words in (_NUMBERS, _ROWS, _PERSONS))
_ENDS = ("nummer", "number", "nr")
_PERSON_ENDS = ("病历号", "住院号", "患者番号", "患者id", "患者", "病人", "病历")
_ROW_ENDS = ("编号", "序号", "番号", "号", "번호")
_CAMEL = re.compile(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])")


def is_key(name: str) -> bool:
    """Return whether a column's name is one that identifiers have.

    >>> is_key("patient_id"), is_key("Fall-Nr."), is_key("PatientID"), is_key("patient age"), is_key("covid")
    (True, True, True, False, False)
    """
    words = _words(name)
    if not words:
        return False
    numbered = words[-1] in _NUMBER or words[0] in ("id", "lfd") or words[-1].endswith(_ENDS)
    known = all(_stem(word) in _ROW | _PERSON | _NUMBER for word in words)
    return numbered or known or words[-1].endswith(_ROW_ENDS + _PERSON_ENDS)


def is_person(name: str) -> bool:
    """Return whether a column's name is one that calls persons, animals or customers by a number or a name.

    >>> is_person("patient"), is_person("PatNr"), is_person("mouse id"), is_person("room number"), is_person("fall_nr")
    (True, True, True, False, False)
    """
    words = _words(name)
    return is_key(name) and (any(_stem(word) in _PERSON for word in words) or words[-1].endswith(_PERSON_ENDS))


def _stem(word: str) -> str:
    """Return "patienten" of "patientennr", and a word that is a known one as it is."""
    if word in _ROW | _PERSON | _NUMBER:
        return word
    return next((word.removesuffix(end) for end in (*_ENDS, "id") if word.endswith(end)), word)


def _words(name: str) -> list[str]:
    apart = _CAMEL.sub(" ", name)
    return re.findall(r"[^\W\d_]+[°º]?|№", apart.casefold())
