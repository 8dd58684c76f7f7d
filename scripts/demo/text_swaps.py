"""What can stand for what in MASSIVE's sentences, in all five languages at once. Knows: words. Does not know: rows.

Surfaces are as the data set writes them: lower case, no marks. A form holds its spellings; the first is the one put in.
"""

from __future__ import annotations

from collections.abc import Mapping

# member -> language -> form -> spellings
Member = Mapping[str, Mapping[str, tuple[str, ...]]]

_DAYS = {
    "monday": ("montag", "pazartesi", "pazartesiye", "dilluns", "الاثنين", ("الإثنين", "الأثنين")),
    "tuesday": ("dienstag", "salı", "salıya", "dimarts", "الثلاثاء", ("الثلوث", "الثلاثا")),
    "wednesday": ("mittwoch", "çarşamba", "çarşambaya", "dimecres", "الأربعاء", ("الاربعاء", "الربوع")),
    "thursday": ("donnerstag", "perşembe", "perşembeye", "dijous", "الخميس", ()),
    "friday": ("freitag", "cuma", "cumaya", "divendres", "الجمعة", ("الجمعه",)),
    "saturday": ("samstag", "cumartesi", "cumartesiye", "dissabte", "السبت", ()),
    "sunday": ("sonntag", "pazar", "pazara", "diumenge", "الأحد", ("الاحد",)),
}


def _weekday(english: str) -> Member:
    german, turkish, dative, catalan, arabic, others = _DAYS[english]
    return {
        "en": {"adverb": (f"on {english}", english), "for": (f"for {english}",), "of": (f"{english}'s",)},
        "de": {"adverb": (f"am {german}",), "for": (f"für {german}",), "bare": (german,)},
        "tr": {
            "adverb": (f"{turkish} günü", turkish),
            "dative": (dative,),
            "adjective": (f"{turkish} günkü",),
            "of": (f"{turkish} gününün",),
        },
        "ca": {
            "adverb": (catalan,),
            "for": (f"per {catalan}", f"per a {catalan}"),
            "of": (f"de {catalan}", f"del {catalan}"),
        },
        "ar": {
            "adverb": (f"يوم {arabic}", arabic, *(f"يوم {other}" for other in others), *others),
            "for": (f"ليوم {arabic}", *(f"ليوم {other}" for other in others)),
        },
    }


# When something is to be. Weekdays are members too: "tomorrow" may become "on friday".
WHEN: Mapping[str, Member] = {
    "today": {
        "en": {"adverb": ("today",), "for": ("for today",), "of": ("today's",)},
        "de": {"adverb": ("heute",), "for": ("für heute",)},
        "tr": {"adverb": ("bugün",), "dative": ("bugüne",), "adjective": ("bugünkü",), "of": ("bugünün",)},
        "ca": {"adverb": ("avui",), "for": ("per avui", "per a avui"), "of": ("d'avui",)},
        "ar": {"adverb": ("اليوم",), "for": ("لليوم",)},
    },
    "tomorrow": {
        "en": {"adverb": ("tomorrow",), "for": ("for tomorrow",), "of": ("tomorrow's",)},
        "de": {"adverb": ("morgen",), "for": ("für morgen",)},
        "tr": {"adverb": ("yarın",), "dative": ("yarına",), "adjective": ("yarınki",), "of": ("yarının",)},
        "ca": {"adverb": ("demà",), "for": ("per demà", "per a demà"), "of": ("de demà",)},
        "ar": {"adverb": ("بكره", "بكرة", "بكرا", "غدا"), "for": ("لبكره", "لبكرة")},
    },
    "tonight": {
        "en": {"adverb": ("tonight",), "for": ("for tonight",), "of": ("tonight's",)},
        "de": {"adverb": ("heute abend", "heute nacht"), "for": ("für heute abend",)},
        "tr": {
            "adverb": ("bu akşam", "bu gece"),
            "dative": ("bu akşama",),
            "adjective": ("bu akşamki",),
            "of": ("bu akşamın",),
        },
        "ca": {"adverb": ("aquesta nit", "aquest vespre"), "for": ("per aquesta nit",), "of": ("d'aquesta nit",)},
        "ar": {"adverb": ("الليلة", "هذا المساء", "مساء اليوم", "المساء"), "for": ("لهذي الليلة",)},
    },
    "this week": {
        "en": {"adverb": ("this week",), "for": ("for this week",), "of": ("this week's",)},
        "de": {"adverb": ("diese woche",), "for": ("für diese woche",)},
        "tr": {
            "adverb": ("bu hafta",),
            "dative": ("bu haftaya",),
            "adjective": ("bu haftaki",),
            "of": ("bu haftanın",),
        },
        "ca": {
            "adverb": ("aquesta setmana",),
            "for": ("per aquesta setmana", "per a aquesta setmana"),
            "of": ("d'aquesta setmana",),
        },
        "ar": {
            "adverb": ("هذا الأسبوع", "هذا الاسبوع", "هاذا الأسبوع", "في هذا الأسبوع", "في هذا الاسبوع"),
            "for": ("لهذا الأسبوع", "لهذا الاسبوع"),
        },
    },
    "next week": {
        "en": {"adverb": ("next week",), "for": ("for next week",), "of": ("next week's",)},
        "de": {"adverb": ("nächste woche",), "for": ("für nächste woche",)},
        "tr": {
            "adverb": ("gelecek hafta", "önümüzdeki hafta", "haftaya", "sonraki hafta"),
            "dative": ("gelecek haftaya",),
            "adjective": ("gelecek haftaki",),
            "of": ("gelecek haftanın", "önümüzdeki haftanın"),
        },
        "ca": {
            "adverb": ("la setmana vinent", "la setmana que ve", "la pròxima setmana", "la propera setmana"),
            "for": ("per la setmana vinent", "per a la setmana vinent", "per a la propera setmana"),
            "of": ("de la setmana vinent", "de la setmana que ve", "de la pròxima setmana"),
        },
        "ar": {
            "adverb": (
                "الأسبوع الجاي",
                "الاسبوع الجاي",
                "الإسبوع الجاي",
                "الأسبوع القادم",
                "في الاسبوع الجاي",
                "في الأسبوع الجاي",
            ),
            "for": ("للأسبوع الجاي", "للاسبوع الجاي"),
        },
    },
    "this weekend": {
        "en": {"adverb": ("this weekend",), "for": ("for this weekend",), "of": ("this weekend's",)},
        "de": {"adverb": ("dieses wochenende",), "for": ("für dieses wochenende",)},
        "tr": {
            "adverb": ("bu hafta sonu",),
            "dative": ("bu hafta sonuna",),
            "adjective": ("bu hafta sonundaki",),
            "of": ("bu hafta sonunun",),
        },
        "ca": {
            "adverb": ("aquest cap de setmana",),
            "for": ("per aquest cap de setmana", "pel cap de setmana"),
            "of": ("d'aquest cap de setmana",),
        },
        "ar": {
            "adverb": ("نهاية هذا الأسبوع", "نهاية الأسبوع", "في نهاية هذا الأسبوع"),
            "for": ("لنهاية هذا الأسبوع",),
        },
    },
    **{english: _weekday(english) for english in _DAYS},
}

_HOURS = {
    "one": (1, "ein", "dreizehn", "bir birde bire birden", "la una", "وحدة واحدة"),
    "two": (2, "zwei", "vierzehn", "iki ikide ikiye ikiden", "les dues", "ثنتين اثنين"),
    "three": (3, "drei", "fünfzehn", "üç üçte üçe üçten", "les tres", "ثلاثة"),
    "four": (4, "vier", "sechzehn", "dört dörtte dörde dörtten", "les quatre", "أربعة اربعة"),
    "five": (5, "fünf", "siebzehn", "beş beşte beşe beşten", "les cinc", "خمسة"),
    "six": (6, "sechs", "achtzehn", "altı altıda altıya altıdan", "les sis", "ستة"),
    "seven": (7, "sieben", "neunzehn", "yedi yedide yediye yediden", "les set", "سبعة"),
    "eight": (8, "acht", "zwanzig", "sekiz sekizde sekize sekizden", "les vuit", "ثمنية ثمانية"),
    "nine": (9, "neun", "einundzwanzig", "dokuz dokuzda dokuza dokuzdan", "les nou", "تسعة"),
    "ten": (10, "zehn", "zweiundzwanzig", "on onda ona ondan", "les deu", "عشرة"),
    "eleven": (11, "elf", "dreiundzwanzig", "on bir, on birde, on bire, on birden", "les onze", "احدعش"),
    "twelve": (12, "zwölf", "zwölf", "on iki, on ikide, on ikiye, on ikiden", "les dotze", "اثنعش"),
}


def _hour(english: str) -> Member:
    _, german, german_late, turkish, catalan, arabic = _HOURS[english]
    nominative, locative, dative, ablative = turkish.split(", ") if "," in turkish else turkish.split()
    return {
        "en": {
            "morning": (f"{english} am",),
            "late": (f"{english} p. m.",),
            "clock": (f"{english} o'clock",),
            "half": (f"{english} thirty",),
            "at": (f"at {english}",),
            "for": (f"for {english}",),
        },
        "de": {"hour": (f"{german} uhr",), "late": (f"{german_late} uhr",)},
        "tr": {"nominative": (nominative,), "locative": (locative,), "dative": (dative,), "ablative": (ablative,)},
        "ca": {"hour": (catalan,)},
        "ar": {"hour": tuple(arabic.split())},
    }


HOUR: Mapping[str, Member] = {english: _hour(english) for english in _HOURS}

# A word about the part of the day, and the hours that may stand beside it.
PARTS_OF_THE_DAY: Mapping[str, tuple[tuple[str, frozenset[int]], ...]] = {
    "en": (
        ("am", frozenset(range(5, 12))),
        ("p. m.", frozenset(range(2, 12))),
        ("in the morning", frozenset(range(5, 12))),
    ),
    "de": (
        ("morgens", frozenset(range(4, 12))),
        ("früh", frozenset(range(4, 10))),
        ("abends", frozenset(range(6, 12))),
        ("mittags", frozenset({12})),
    ),
    "tr": (
        ("sabah", frozenset(range(5, 12))),
        ("öğleden sonra", frozenset(range(2, 6))),
        ("akşam", frozenset(range(6, 12))),
        ("öğlen", frozenset({12})),
        ("gece", frozenset({2, 3, 4})),
        ("sabaha karşı", frozenset({4, 5})),
    ),
    "ca": (
        ("del matí", frozenset(range(5, 12))),
        ("de la tarda", frozenset(range(2, 8))),
        ("del vespre", frozenset({8, 9})),
        ("de la nit", frozenset({9, 10, 11})),
        ("del migdia", frozenset({12})),
        ("de la matinada", frozenset(range(2, 6))),
    ),
    "ar": (
        ("الصبح", frozenset(range(5, 12))),
        ("الصباح", frozenset(range(5, 12))),
        ("الفجر", frozenset({4, 5})),
        ("العصر", frozenset({3, 4, 5})),
        ("الظهر", frozenset({12, 2})),
        ("المسا", frozenset(range(6, 10))),
        ("المساء", frozenset(range(6, 10))),
        ("الليل", frozenset({9, 10, 11})),
        ("بعد الظهر", frozenset({2, 3, 4, 5})),
    ),
}


def hour_number(member: str) -> int:
    """1 to 12."""
    return _HOURS[member][0]
