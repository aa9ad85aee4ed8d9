/// What one language's invented pages are about. Written by hand for this project; no recorded text.
struct LanguagePack: Sendable {
    /// The wiki's language, as in `de.wikipedia.org`.
    let code: String
    /// Share of the encyclopedia's events, in parts.
    let weight: Int
    /// Talk, user and category prefixes of the wiki's namespaces.
    let talk: String
    let user: String
    let category: String
    /// Things that pages are about; the same theme at the same place in every language.
    let subjects: [String]
    let places: [String]
    let sections: [String]
    /// Edit summaries; `@` stands for the page's subject.
    let comments: [String]
    let names: [String]
}

/// The languages of invented events: 20 of them, in 17 scripts.
enum WordLists {
    static let languages: [LanguagePack] = latin + eastern

    /// English has more words than the others: themes × subjects, and what an edit about the theme says.
    static let englishThemes: [(subjects: [String], details: [String])] = [
        (
            ["Stratovolcano", "Volcanic eruption", "Lava field", "Earthquake swarm", "Geyser basin", "Tsunami"],
            [
                "lava flows and ash clouds of the latest eruption", "seismic readings before the earthquake",
                "evacuation of villages below the crater", "magnitude and depth of the aftershocks",
            ]
        ),
        (
            [
                "Football club", "Football stadium", "National cup final", "Goalkeeper", "League season",
                "Penalty shoot-out",
            ],
            [
                "goals and assists of the striker after the transfer", "final score and the referee's decisions",
                "the coach's contract and the new training ground", "promotion to the first division",
            ]
        ),
        (
            ["Dwarf galaxy", "Exoplanet", "Comet", "Space telescope", "Lunar crater", "Meteor shower"],
            [
                "orbital period measured by the telescope", "brightness of the comet near perihelion",
                "spectrum of the planet's atmosphere", "launch window of the space probe",
            ]
        ),
        (
            [
                "Vaccine trial", "Children's hospital", "Heart surgery", "Malaria outbreak", "Antibiotic",
                "Dental clinic",
            ],
            [
                "side effects reported in the clinical trial", "infection rates during the epidemic",
                "dosage for patients with kidney disease", "the surgeons who did the first transplant",
            ]
        ),
        (
            ["Railway station", "Steam locomotive", "Tram line", "Suspension bridge", "Metro tunnel", "Night train"],
            [
                "timetable changes and the closed platform", "the bridge's span and its steel cables",
                "electrification of the branch line", "the derailment and the inquiry that followed",
            ]
        ),
        (
            ["Sourdough bread", "Fish soup", "Goat cheese", "Street food market", "Dumpling", "Wine region"],
            [
                "ingredients and baking time of the recipe", "regional varieties served at weddings",
                "protected designation of the cheese", "fermentation of the dough overnight",
            ]
        ),
        (
            ["Opera house", "String quartet", "Folk singer", "Jazz festival", "Church organ", "Debut album"],
            [
                "the premiere and its conductor", "chart positions of the second single",
                "the soprano's role in the first performance", "tuning of the restored organ",
            ]
        ),
        (
            ["Programming language", "Search engine", "Supercomputer", "Chess program", "Video game", "Data centre"],
            [
                "the compiler's release notes and licence", "benchmark results of the new processor",
                "a security hole in the login code", "support for older operating systems",
            ]
        ),
        (
            ["White stork", "Coral reef", "Snow leopard", "Butterfly reserve", "Oak forest", "Humpback whale"],
            [
                "breeding pairs counted by birdwatchers", "habitat loss and hunting by poachers",
                "migration route over the mountains", "bleaching of the reef in warm water",
            ]
        ),
        (
            [
                "Mayoral election", "Constitutional court", "Peace treaty", "Parliament building", "Trade union",
                "Referendum",
            ],
            [
                "turnout and seats won by each party", "the coalition agreement and its ministers",
                "the court's ruling on the election law", "signatories of the treaty",
            ]
        ),
        (
            ["Medieval castle", "Cathedral", "Lighthouse", "Roman aqueduct", "Town hall", "Windmill"],
            [
                "restoration of the tower after the fire", "the architect and the Gothic nave",
                "excavation of the older foundations", "opening hours and entrance fees",
            ]
        ),
        (
            ["River delta", "Glacier", "Drought", "Mountain lake", "Tropical cyclone", "Hydroelectric dam"],
            [
                "water level and floods in spring", "retreat of the ice since the last survey",
                "wind speeds at landfall of the storm", "capacity of the reservoir",
            ]
        ),
        (
            [
                "Silent film", "Film festival", "Documentary", "Science fiction novel", "Poetry collection",
                "Theatre company",
            ],
            [
                "the director's cut and its reviews", "cast list with the lead actress",
                "translation of the poems", "box office takings of the opening weekend",
            ]
        ),
        (
            ["Rare earth mine", "Polymer", "Noble gas", "Battery factory", "Periodic table", "Chemical plant"],
            [
                "melting point and crystal structure", "cathode materials of lithium cells",
                "the accident at the plant and its causes", "synthesis of the compound in the laboratory",
            ]
        ),
    ]

    static let englishPlaces = [
        "Iceland", "the Andes", "Lake Victoria", "Northern Ireland", "Tasmania", "Nova Scotia", "Gujarat", "the Azores",
        "Bavaria", "Kyushu", "Patagonia", "Transylvania", "Cornwall", "Sumatra", "Oaxaca", "Minnesota", "Normandy",
        "the Faroe Islands", "Zanzibar", "Kerala", "Anatolia", "Silesia", "Queensland", "Crete", "Lapland", "Sicily",
        "Ontario", "the Carpathians", "Madeira", "Yucatán", "Kamchatka", "Luzon",
    ]

    static let englishSections = [
        "History", "Reception", "Geography", "Early life", "Legacy", "References", "External links", "Description",
        "See also", "Career", "Design", "Economy",
    ]

    /// Users of all wikis, besides each language's own names.
    static let userStems = [
        "Maple", "Otter", "Quill", "Lantern", "Harbour", "Pebble", "Falcon", "Cedar", "Comet", "Anvil", "Thistle",
        "Saffron", "Granite", "Willow", "Copper", "Meadow", "Juniper", "Marble", "Raven", "Tundra",
    ]

    static let bots = [
        "SweepBot", "LinkFixerBot", "TidyRefBot", "ImportBot", "CategoryMoverBot", "DateBot", "ArchiverBot",
        "InterwikiBot", "SpellBot", "StatBot",
    ]
}
