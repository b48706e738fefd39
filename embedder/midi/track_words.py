"""Words of names that sequencers, scorewriters and their users give to tracks, in several languages.

A name of these words alone, with numbers and signs, says nothing about the music.
"""

from __future__ import annotations

__all__ = ["TRACK_WORDS"]

_WORDS = """
a aahs accomp accompaniment accordion acoustic agogo all alt alto and applause arp arpeggio ascii atmosphere
audio back background backing backup backups bagpipe bandoneon bango banjo bari baritone bass bass1 bassline
basso bassoon batteria batterie bell bells bk blank bongo bongos bottle bourdon bowed brass bridge bright
brightness brs button bvox canal canto canvas casio celesta cello cellos cembalo ch chan channel charang
chiff chitarra choir chor chord chords chorus church cl clap clarinet clarinets clarinetto classic clav
clavi clavinet clean clef click comp composition conduct conductor conga congas contrabass contrabassoon
contralto control copy cor cornet corno coro cowbell crash crystal ctrl cymbal cymbals data default descant
device devices dist distortion double doubled down drawbar drum drumkit drums drumset dry dulcimer dx e echo
echoes effect effects elec electric eng english ensemble ensoniq ep euphonium export fag fagott fagotto fast
fiddle file fill fills finger fingered fl flauto flote flugel flugelhorn flute flutes flöte font french
fretless fx geige geigen general gesang gitarre glide glock glockenspiel gm goblins grand grnd group gs gt
gtr guit guitar guitare guitars gunshot halo hand hands hard harm harmonica harmonics harmony harp
harpsichord hat hats hi high hihat hit honky hook horn horns i ii iii in info init initial inst instr
instrument instruments intro iv jazz jv kalimba kanal kbd key keyboard keyboards keys kick kik kit
klarinette klavier korg koto kurzweil l layer lead lead1 lead2 leads left lh line lo low lower lyric lyrics
main manual maracas marimba marker markers master mel melodic melodies melody meta metallic metronome mid
midi midifile mixer mono mt multi music musicbox mute muted n name new no noise nombre none normal notes
number nylon oboe oboes oboé ocarina of off ohne on one oohs orchestra orchestrahit orchestral org organ
orgel out output outro over overd overdrive overdriven p pad pads pan panflute part parts ped pedal pedals
perc percus percussion percussive pf phrase piano pianoforte pianos pic picc piccolo pick picked pipe pista
piste pizz pizzicato pno poly polysynth port posaune project proteus push rain record recorder recording
reed refrain rest reverse rh rhodes rhythm ride right ring rock roland root s sample sampler sang sans sax
saxes saxophone sc schlagzeug score scratch seashore second sect section senza seq seq1 sequence sequencer
setup sf sfx shaker shakuhachi shamisen shanai side sin sitar slap slow slowstrings snare soft softsynth
solo song song1 soprano soprano1 sound soundcanvas soundfont soundtrack spor spur square staff standard
stave steel stick stimme str streicher strg string strings strofe strs sub sustain sustained sw sweep
sweeping syn synth synthbass synthbrass synthe synthesizer synthstrings synthvoice sysex system taiko tamb
tambourine tastiera temp template temple tempo tempospur tenor tenore test text the theme timbales timp
timpani tinkle titel title titles titolo titre titulo tk to tom toms top tr track trackname tracks treb
treble trem tremolo triangle trk tromb trombone trombones trompete trp trpt trumpet trumpets tuba tubular
tune unison unknown unnamed unt untit untitled up upper us v va vc vcl verse vib vibes vibra vibraphone
vibraslap viol viola violas violin violino violins violon violoncello violone vla vlc vln vlns vn voc vocal
vocalist vocals voce voci voice voices voix vox vst vsti waldorf warm wave wet whistle wind winds wood
woodblock woodwind words works world x xg xylophone yamaha zang дорожка трек
"""
TRACK_WORDS = frozenset(_WORDS.split())
