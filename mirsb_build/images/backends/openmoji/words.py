"""What the OpenMoji corpus leaves out, and everyday words it would otherwise miss: data for `openmoji_corpus`."""

from __future__ import annotations

UNFIT: frozenset[int] = frozenset(
    {
        # Weapons, and what hurts.
        0x1F52A, 0x1F52B, 0x1F5E1, 0x2694, 0x1F3F9, 0x1F4A3, 0x1FA93, 0x1FA92, 0x1F9E8, 0x1FA83, 0x1F531, 0x1FAA4,
        0x1FA96, 0x1F93A, 0x1F94A, 0x1F44A, 0x1F91B, 0x1F91C, 0x1FAEF, 0x1F93C, 0x270A, 0x1F4A5, 0x1FAA2, 0x1F977,
        # Blood, death, poison, disgust.
        0x1FA78, 0x1FADF, 0x1F489, 0x1F480, 0x2620, 0x26B0, 0x1FAA6, 0x26B1, 0x1F9DF, 0x1F9DB, 0x2622, 0x2623,
        0x1F4A9, 0x1F92E, 0x1F922, 0x1F635, 0x1F92F, 0x1F631, 0x1F479, 0x1F47A, 0x1F47F, 0x1F608, 0x1F6A8,
        # Smoking, rudeness, intimacy.
        0x1F6AC, 0x1F595, 0x1F92C, 0x1F51E, 0x1F3E9, 0x1F48B, 0x1F48F, 0x1F459, 0x1FA71, 0x1FA72, 0x1F445, 0x1FAE6,
        0x1F46F, 0x1F6C0, 0x1F9D6, 0x1F924, 0x1F60D, 0x1F618, 0x1F61A, 0x1F617, 0x1F619, 0x1F931,
        0x1F930, 0x1FAC3, 0x1FAC4, 0x1F918, 0x1F346, 0x1F351,
        # Faiths and groups of people: they stand for nobody's topic.
        0x1F54B, 0x1F54C, 0x1F54D, 0x1F54E, 0x1F549, 0x1F6D5, 0x1F6D0, 0x1F4FF, 0x1F52F, 0x2626, 0x262A, 0x2638,
        0x271D, 0x2721, 0x269B, 0x26EA, 0x26E9, 0x1FAAF, 0x1FAAC, 0x1F473, 0x1F472, 0x1F9D5, 0x26A7, 0x2640, 0x2642,
        0x1F3F3, 0x1F3F4, 0x1F38C, 0x262F, 0x1F492, 0x1F47C,
        # Signs that forbid: the thing they show is the thing they cross out.
        0x1F6AD, 0x1F6AF, 0x1F6B1, 0x1F6B3, 0x1F6B7, 0x1F4F5, 0x1F6AB, 0x26D4, 0x1F515,
        # Drawings with lettering: a picture says nothing in words.
        0x1F3E8, 0x1F4D3, 0x1F4D4, 0x1F4D7, 0x1F4D8, 0x1F4D9, 0x1F4F4, 0x1F6D1, 0x1F68F, 0x1F4E7, 0x1F004, 0x1F3B0,
        # Letters and signs rather than things.
        0x00A9, 0x00AE, 0x2122, 0x2139, 0x24C2, 0x1F3E7, 0x1F4AF, 0x1F4A4, 0x1F6BE, 0x26CE, 0x1F520, 0x1F521, 0x1F522,
        0x1F523, 0x1F524, 0x1F51F, 0x1F519, 0x1F51A, 0x1F51B, 0x1F51C, 0x1F51D, 0x3297, 0x3299, 0x1F9B0, 0x1F9B1,
        0x1F9B2, 0x1F9B3, 0x1F481,
    }
)  # fmt: skip
"""Code points that are never drawn; every sequence that contains one goes with it."""

UNFIT_RANGES: tuple[tuple[int, int], ...] = (
    (0x1F1E6, 0x1F1FF),  # flags of countries
    (0xE0020, 0xE007F),  # flags of regions
    (0x20E3, 0x20E3),  # keycaps
    (0x1F3FB, 0x1F3FF),  # skin tones: the neutral drawing is enough
    (0x1F170, 0x1F251),  # squared letters
    (0x2648, 0x2653),  # zodiac
    # Arrows, buttons, punctuation and coloured shapes: signs rather than things.
    (0x203C, 0x2049), (0x2194, 0x21AA), (0x23CF, 0x23EF), (0x23F8, 0x23FA), (0x25AA, 0x25FE), (0x2753, 0x2757),
    (0x2733, 0x2734), (0x2747, 0x274E), (0x2795, 0x2797), (0x27A1, 0x27BF), (0x2934, 0x2935), (0x2B05, 0x2B1C),
    (0x2B55, 0x303D), (0x26AA, 0x26AB), (0x1F500, 0x1F506), (0x1F518, 0x1F518), (0x1F532, 0x1F53D),
    (0x1F7E0, 0x1F7F0), (0x1F499, 0x1F49F), (0x1F90D, 0x1F90E), (0x1F9E1, 0x1F9E1), (0x1FA75, 0x1FA77),
    (0x1F5A4, 0x1F5A4),
)  # fmt: skip
"""Ranges of code points (first, last) that are never drawn."""

FACES: tuple[tuple[int, int], ...] = (
    (0x1F600, 0x1F644),
    (0x1F910, 0x1F92F),
    (0x1F970, 0x1F97A),
    (0x1FAE0, 0x1FAEA),
)
"""Faces say how somebody feels about a thing; where a drawing of the thing itself exists, it should win."""

EXTRA_WORDS: dict[str, str] = {
    "2615": "coffee, tea, cup, mug, cafe",
    "2696": "law, court, justice",
    "2702": "scissors",
    "2709": "letter, mail, email, envelope",
    "270D": "signature, writing",
    "1F303": "night",
    "1F321": "thermostat, temperature",
    "1F332": "forest, woods",
    "1F333": "tree",
    "1F33C": "flower",
    "1F33E": "wheat, field",
    "1F372": "stew, recipe",
    "1F373": "kitchen, stove, oven, frying pan",
    "1F374": "cutlery, dinner, table",
    "1F37D": "dining table",
    "1F392": "backpack, school bag",
    "1F3A9": "hat",
    "1F3AB": "ticket",
    "1F3AD": "mask, theatre, disguise",
    "1F3AE": "game, gaming",
    "1F3C1": "race",
    "1F3D7": "construction site, crane",
    "1F3D8": "neighbourhood, neighbour, suburb, village",
    "1F3D9": "city, street, town",
    "1F3DB": "courthouse, museum, government, town hall",
    "1F3DE": "park",
    "1F3E0": "home",
    "1F3E1": "garden, yard",
    "1F3E2": "office, company",
    "1F3EA": "shop, store, corner shop",
    "1F3EC": "mall",
    "1F3ED": "plant, warehouse, industry",
    "1F45B": "wallet",
    "1F465": "crowd, audience, people, users, contacts",
    "1F46A": "family, relatives",
    "1F48A": "medicine, tablet, drug",
    "1F4A7": "water",
    "1F4AC": "chat, conversation, message, comment, group chat",
    "1F4B0": "money, cash, savings",
    "1F4B5": "banknote, bill",
    "1F4BB": "laptop, website, browser",
    "1F4BC": "job, business, briefcase",
    "1F4C4": "document, form, contract, flyer, leaflet",
    "1F4CB": "checklist, list, questionnaire, plan",
    "1F4CC": "notice, notice board, pin",
    "1F4D2": "notebook, diary, journal, notebook with decorative cover",
    "1F4DA": "library, shelf",
    "1F4DD": "note, letter draft, instructions",
    "1F4DE": "call, hotline",
    "1F4E2": "announcement, rumour",
    "1F4E6": "box, delivery, crate",
    "1F4EA": "mailbox, letterbox",
    "1F4F0": "news, newspaper, headline",
    "1F4F1": "phone, smartphone, app",
    "1F4F7": "photo, photograph",
    "1F4F9": "surveillance camera, recording",
    "1F50B": "battery",
    "1F50C": "cable, power, charger",
    "1F50D": "search, clue",
    "1F512": "lock, padlock, password, privacy",
    "1F517": "link, chain",
    "1F525": "fire, flame, matches",
    "1F52C": "laboratory, lab",
    "1F5A5": "computer, screen, monitor, desk, office desk",
    "1F5BC": "picture, painting, gallery, portrait",
    "1F5C4": "archive, records, cabinet",
    "1F5FA": "map, route, atlas",
    "1F68C": "bus, bus stop",
    "1F690": "van",
    "1F697": "car, vehicle, garage, parking",
    "1F69A": "truck, lorry, moving van",
    "1F6A6": "traffic light, stop sign",
    "1F6A9": "flag",
    "1F6CB": "living room, sofa, lounge",
    "1F6CF": "bedroom",
    "1F6D2": "supermarket, trolley",
    "1F6E0": "tools, workshop, workbench, repair",
    "1F6E3": "road, highway",
    "1F91D": "meeting, agreement, deal",
    "1F9BA": "uniform, vest",
    "1F9D1": "person, stranger, neighbour, colleague",
    "1F9D1-200D-2695-FE0F": "doctor, nurse",
    "1F9D1-200D-1F373": "chef",
    "1F9D1-200D-1F3EB": "teacher, classroom",
    "1F9D1-200D-1F91D-200D-1F9D1": "friends, couple, pair",
    "1F9D2": "child, kid",
    "1F9EA": "chemistry, chemical, sample",
    "1F9F1": "wall",
    "1F9F3": "suitcase, luggage",
    "1F9F4": "bottle, detergent, cleaner",
    "1F9F5": "rope, string",
    "1F9FE": "invoice, receipt",
    "1FA91": "seat",
    "1FA9C": "ladder, shed",
    "1FAA7": "sign, poster, banner, protest, signpost",
    "1FAAA": "identity card, badge, id card, licence",
    "1FAB5": "fence, log, plank",
}
"""Everyday phrases that the annotations lack or spread over many drawings, by code; each counts like a name."""
