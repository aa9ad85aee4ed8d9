extension WordLists {
    /// Languages written in Latin script.
    static let latin: [LanguagePack] = [
        LanguagePack(
            code: "en", weight: 34, talk: "Talk", user: "User", category: "Category", subjects: [],
            places: englishPlaces,
            sections: englishSections, comments: [],
            names: ["Ada Whitlow", "R. Penhaligon", "Quietmarsh", "Bram Oakley"]),
        LanguagePack(
            code: "de", weight: 9, talk: "Diskussion", user: "Benutzer", category: "Kategorie",
            subjects: [
                "Schichtvulkan", "Fußballverein", "Zwerggalaxie", "Kinderkrankenhaus", "Straßenbahnlinie",
                "Sauerteigbrot",
                "Opernhaus", "Suchmaschine", "Weißstorch", "Bürgermeisterwahl", "Höhenburg", "Gletscher", "Stummfilm",
                "Batteriefabrik",
            ],
            places: [
                "Thüringen", "Rügen", "Tirol", "Graubünden", "Schwäbische Alb", "Köln", "Lüneburger Heide", "Wien",
            ],
            sections: ["Geschichte", "Lage", "Leben", "Einzelnachweise", "Weblinks", "Rezeption"],
            comments: [
                "Beleg für @ ergänzt", "Tippfehler bei @ korrigiert", "Abschnitt über @ überarbeitet",
                "Form, Link auf @",
                "Bild von @ eingefügt",
            ],
            names: ["Jürgen Moosbach", "Käthe Löwenhain", "Grübelfuchs"]),
        LanguagePack(
            code: "fr", weight: 7, talk: "Discussion", user: "Utilisateur", category: "Catégorie",
            subjects: [
                "Stratovolcan", "Club de football", "Galaxie naine", "Hôpital pour enfants", "Ligne de tramway",
                "Pain au levain", "Opéra", "Moteur de recherche", "Cigogne blanche", "Élection municipale",
                "Château fort", "Glacier", "Film muet", "Usine de batteries",
            ],
            places: [
                "Bretagne", "Auvergne", "La Réunion", "Genève", "Québec", "Provence", "Franche-Comté", "Wallonie",
            ],
            sections: ["Histoire", "Géographie", "Biographie", "Notes et références", "Liens externes"],
            comments: [
                "Ajout d’une source sur @", "Correction orthographique : @", "Mise à jour de la section sur @",
                "Lien interne vers @", "Révocation : vandalisme sur @",
            ],
            names: ["Éloïse Garance", "Loïc Ménard", "Petit Hérisson"]),
        LanguagePack(
            code: "es", weight: 5, talk: "Discusión", user: "Usuario", category: "Categoría",
            subjects: [
                "Estratovolcán", "Club de fútbol", "Galaxia enana", "Hospital infantil", "Línea de tranvía",
                "Pan de masa madre", "Teatro de ópera", "Motor de búsqueda", "Cigüeña blanca", "Elección municipal",
                "Castillo medieval", "Glaciar", "Película muda", "Fábrica de baterías",
            ],
            places: [
                "Andalucía", "Patagonia", "Oaxaca", "Islas Canarias", "Cusco", "Galicia", "Antioquia", "Valparaíso",
            ],
            sections: ["Historia", "Geografía", "Biografía", "Referencias", "Enlaces externos"],
            comments: [
                "Añadí una fuente sobre @", "Ortografía en @", "Amplío la sección sobre @", "Enlace a @",
                "Deshecha la edición sobre @",
            ],
            names: ["Íñigo Peñalver", "Lucía Ordóñez", "Niebla Azul"]),
        LanguagePack(
            code: "it", weight: 4, talk: "Discussione", user: "Utente", category: "Categoria",
            subjects: [
                "Stratovulcano", "Squadra di calcio", "Galassia nana", "Ospedale pediatrico", "Linea tranviaria",
                "Pane a lievitazione naturale", "Teatro d’opera", "Motore di ricerca", "Cicogna bianca",
                "Elezioni comunali", "Castello medievale", "Ghiacciaio", "Film muto", "Fabbrica di batterie",
            ],
            places: ["Sicilia", "Val d’Aosta", "Ticino", "Sardegna", "Umbria", "Trieste"],
            sections: ["Storia", "Geografia", "Biografia", "Note", "Collegamenti esterni"],
            comments: ["Aggiunta fonte su @", "Corretto refuso in @", "Ampliata la sezione su @", "Wikilink a @"],
            names: ["Perla Bianchetti", "Nicolò Più"]),
        LanguagePack(
            code: "pl", weight: 3, talk: "Dyskusja", user: "Wikipedysta", category: "Kategoria",
            subjects: [
                "Stratowulkan", "Klub piłkarski", "Galaktyka karłowata", "Szpital dziecięcy", "Linia tramwajowa",
                "Chleb na zakwasie", "Opera", "Wyszukiwarka internetowa", "Bocian biały", "Wybory samorządowe",
                "Zamek średniowieczny", "Lodowiec", "Film niemy", "Fabryka akumulatorów",
            ],
            places: ["Śląsk", "Podlasie", "Łódź", "Mazury", "Świnoujście", "Tatry"],
            sections: ["Historia", "Położenie", "Życiorys", "Przypisy", "Linki zewnętrzne"],
            comments: ["dodano źródło o @", "poprawa literówki: @", "rozbudowa sekcji o @", "link do @"],
            names: ["Żaneta Wąs", "Święty Jeż"]),
        LanguagePack(
            code: "vi", weight: 6, talk: "Thảo luận", user: "Thành viên", category: "Thể loại",
            subjects: [
                "Núi lửa dạng tầng", "Câu lạc bộ bóng đá", "Thiên hà lùn", "Bệnh viện nhi", "Tuyến xe điện",
                "Bánh mì bột chua", "Nhà hát opera", "Máy tìm kiếm", "Hạc trắng", "Bầu cử thị trưởng",
                "Lâu đài trung cổ", "Sông băng", "Phim câm", "Nhà máy pin",
            ],
            places: ["Huế", "Đà Lạt", "Cần Thơ", "Hạ Long", "Tây Nguyên", "Sa Pa"],
            sections: ["Lịch sử", "Địa lý", "Tiểu sử", "Tham khảo", "Liên kết ngoài"],
            comments: ["thêm nguồn về @", "sửa lỗi chính tả ở @", "mở rộng mục về @", "liên kết đến @"],
            names: ["Nguyễn Thuỷ Tiên", "Trần Đăng Quốc"]),
        LanguagePack(
            code: "tr", weight: 2, talk: "Tartışma", user: "Kullanıcı", category: "Kategori",
            subjects: [
                "Stratovolkan", "Futbol kulübü", "Cüce gökada", "Çocuk hastanesi", "Tramvay hattı", "Ekşi mayalı ekmek",
                "Opera binası", "Arama motoru", "Ak leylek", "Belediye seçimi", "Orta Çağ kalesi", "Buzul",
                "Sessiz film",
                "Pil fabrikası",
            ],
            places: ["İzmir", "Kapadokya", "Trabzon", "Van Gölü", "Diyarbakır"],
            sections: ["Tarihçe", "Coğrafya", "Hayatı", "Kaynakça", "Dış bağlantılar"],
            comments: ["@ için kaynak eklendi", "@ yazım hatası düzeltildi", "@ bölümü genişletildi"],
            names: ["Gülşen Ilgaz", "Ömer Çığır"]),
    ]
}
