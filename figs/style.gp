# Common look: Okabe-Ito colours (told apart by colour-blind readers), and for black-and-white print a
# different point shape and dash for each line style. Legend above the plot, outside the data.
set style line 1 linecolor rgb '#0072B2' pointtype 7 dashtype 1 linewidth 1.2
set style line 2 linecolor rgb '#D55E00' pointtype 5 dashtype (12,4) linewidth 1.2
set style line 3 linecolor rgb '#009E73' pointtype 9 dashtype (4,3) linewidth 1.2
set style line 4 linecolor rgb '#CC79A7' pointtype 13 dashtype (12,4,2,4) linewidth 1.2
set style line 5 linecolor rgb '#E69F00' pointtype 11 dashtype (2,2) linewidth 1.2
set style line 6 linecolor rgb '#56B4E9' pointtype 6 dashtype (16,3,3,3,3,3) linewidth 1.2
set style line 7 linecolor rgb '#000000' pointtype 4 dashtype (6,6) linewidth 1.2
set style line 8 linecolor rgb '#7F7F7F' pointtype 8 dashtype (8,2,2,2) linewidth 1.2
# Helpers: 20 a grid, 21 theory with everything kept, 22 theory with the window, 23 a reference line
set style line 20 linecolor rgb '#DDDDDD' linewidth 0.6 dashtype 1
set style line 21 linecolor rgb '#000000' linewidth 1.2 dashtype (10,4)
set style line 22 linecolor rgb '#000000' linewidth 1.2 dashtype (2,3)
set style line 23 linecolor rgb '#555555' linewidth 1.0 dashtype (5,4)
set datafile missing '?'
set border 3 linewidth 0.8
set tics nomirror out scale 0.6
set grid ytics linestyle 20
set key outside center top horizontal Left reverse samplen 3 spacing 1.1 width 1
set errorbars small
